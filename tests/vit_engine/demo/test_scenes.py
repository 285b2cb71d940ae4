"""Scenes: the same from the same seed, objects where the mask says, and none that is trained on twice."""

import numpy as np
import pytest
import torch

from vit_engine.demo import data
from vit_engine.demo.data import TRAINING_SEED, SceneStream, normalise, patch_shares
from vit_engine.demo.foreign import NOISES, draw_foreign
from vit_engine.demo.scenes import Scene, draw_scene
from vit_engine.registry.shapes import CLASSES, SHAPES

SIZE = (48, 80)


def test_a_seed_is_a_scene():
    first, again, other = draw_scene(3, SIZE), draw_scene(3, SIZE), draw_scene(4, SIZE)
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.mask, again.mask)
    assert first.labels == again.labels
    assert (first.pixels != other.pixels).any()


@pytest.mark.parametrize("seed", range(12))
def test_a_scene_is_height_by_width_and_its_mask_holds_its_labels(seed: int):
    scene = draw_scene(seed, SIZE)
    assert (scene.pixels.shape, scene.pixels.dtype) == ((48, 80, 3), np.uint8)
    assert scene.mask.shape == SIZE
    assert set(np.unique(scene.mask)) - {0} == {label + 1 for label in scene.labels}
    assert list(scene.labels) == sorted(set(scene.labels))
    assert len(scene.labels) in (1, 2)
    assert scene.names == tuple(CLASSES[label] for label in scene.labels)


def test_all_classes_and_both_counts_occur():
    scenes = [draw_scene(seed, (32, 32)) for seed in range(120)]
    assert {label for scene in scenes for label in scene.labels} == set(range(12))
    assert {len(scene.labels) for scene in scenes} == {1, 2}


def test_objects_stand_off_from_their_ground():
    """In the mean over scenes the object's colour is far from that of the ring around it."""
    contrasts = []
    for seed in range(20):
        scene = draw_scene(seed, (64, 64))
        inside = scene.mask == scene.labels[0] + 1
        contrasts.append(np.linalg.norm(scene.pixels[inside].mean(axis=0) - scene.pixels[scene.mask == 0].mean(axis=0)))
    assert np.mean(contrasts) > 90


@pytest.mark.parametrize("name", CLASSES)
def test_outlines_lie_in_the_unit_square(name: str):
    for filled, points in SHAPES[name]:
        assert points.shape[1] == 2
        assert not filled or np.abs(points).max() <= 1.01


def test_normalise_by_imagenet_and_move_channels_first():
    pixels = np.zeros((2, 3, 5, 3), dtype=np.uint8)
    pixels[1, 2, 4] = (255, 0, 51)
    tensor = normalise(pixels)
    assert tensor.shape == (2, 3, 3, 5)
    expected = torch.tensor([(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225])
    torch.testing.assert_close(tensor[1, :, 2, 4], expected)


def test_patch_shares_count_pixels_by_class():
    """4×6 px in patches of 2: the patch in row 1, column 2 is a quarter disc, a half ring, a quarter ground."""
    mask = np.zeros((1, 4, 6), dtype=np.uint8)
    mask[0, 2:, 4:] = [[1, 2], [0, 2]]
    shares = patch_shares(mask, 2)
    assert shares.shape == (1, 6, 13)
    assert shares[0, 5, :3].tolist() == [0.25, 0.25, 0.5]
    assert shares[0, :5, 0].tolist() == [1.0] * 5


def test_batches_repeat_and_never_touch_evaluation_seeds(monkeypatch: pytest.MonkeyPatch):
    seeds: list[int] = []

    def drawn(seed: int, size: tuple[int, int]) -> Scene:
        seeds.append(seed)
        return draw_scene(seed, size)

    monkeypatch.setattr(data, "draw_scene", drawn)
    stream = SceneStream(0, (32, 48), 8)
    first, second = stream.batch(5, 4), stream.batch(6, 4)
    again = SceneStream(0, (32, 48), 8).batch(5, 4)
    for name in ("images", "labels", "patches"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.equal(first.labels, second.labels) or first.images.shape != second.images.shape
    assert min(seeds) >= TRAINING_SEED
    torch.testing.assert_close(first.labels.sum(dim=1), torch.ones(4))
    torch.testing.assert_close(first.patches.sum(dim=2), torch.ones(4, 24))


@pytest.mark.parametrize("noise", NOISES)
def test_foreign_scenes_are_one_flat_shape_on_noise(noise: str):
    for seed in range(8):
        scene = draw_foreign(seed, noise, (40, 64))
        inside = scene.mask > 0
        assert scene.pixels.shape == (40, 64, 3)
        assert set(np.unique(scene.mask)) == {0, scene.labels[0] + 1}
        assert scene.names[0] in {"disc", "square", "triangle"}
        assert np.ptp(scene.pixels[inside], axis=0).max() == 0, "one colour"
        spread = scene.pixels[~inside].std(axis=0)
        assert (spread > 5).all() if noise != "grey" else (spread == 0).all()
        np.testing.assert_array_equal(scene.pixels, draw_foreign(seed, noise, (40, 64)).pixels)
