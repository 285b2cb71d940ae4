"""An object that stands in two pictures is found in both, patch by patch."""

import numpy as np
import pytest

import vit_engine as ve
from tests.vit_engine.analysis.tokens.scenes import FIRST, HEIGHT, SECOND, inside, same_object_twice

LAYER = 3
MOVED = np.subtract(SECOND, FIRST)  # pixels


def both(seed: int, model: str) -> tuple[ve.Features, ve.Features]:
    loaded = ve.load_model(model, device="cpu")
    first, second = (ve.prepare_image(each, loaded.spec, size=HEIGHT) for each in same_object_twice(seed))
    return ve.features(loaded, first), ve.features(loaded, second)


@pytest.mark.parametrize("model", ["demo_vit_p8", "demo_vit_p16"])
@pytest.mark.parametrize("seed", [1, 2, 5])
def test_the_clearest_pairs_are_the_same_parts_of_the_object(seed: int, model: str) -> None:
    matches = ve.correspondences(*both(seed, model), layer=LAYER).best(10)
    patch = matches.grids[0].patch_size
    assert len(matches) == 10
    assert inside(matches.first, FIRST, patch).all()
    np.testing.assert_array_equal((matches.second - matches.first) * patch, np.broadcast_to(MOVED, (10, 2)))


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_a_part_of_the_object_is_most_similar_to_itself_in_the_other_picture(seed: int) -> None:
    first, second = both(seed, "demo_vit_p16")
    for row, col in np.argwhere(np.ones((4, 4), bool)) + np.array(FIRST) // 16:
        values = ve.similarity_map(first, (row, col), second, layer=LAYER).values
        best = np.unravel_index(values.argmax(), values.shape)
        assert best == (row + 2, col + 4)
