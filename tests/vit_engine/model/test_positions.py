"""Position embeddings on another grid."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vit_engine.errors import SpecError
from vit_engine.model.positions import RESAMPLINGS, resample_positions
from vit_engine.spec import RESAMPLINGS as IN_WORDS


def positions(*, prefix: int, native: tuple[int, int], dim: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, prefix + math.prod(native), dim, generator=generator)


def dino_interpolate_pos_encoding(pos_embed: Tensor, grid: tuple[int, int]) -> Tensor:
    """As facebookresearch/dino vision_transformer.py writes it, where w is the height."""
    dim, n = pos_embed.shape[-1], pos_embed.shape[1] - 1
    class_pos_embed, patch_pos_embed = pos_embed[:, 0], pos_embed[:, 1:]
    w0, h0 = grid[0] + 0.1, grid[1] + 0.1
    patch_pos_embed = functional.interpolate(
        patch_pos_embed.reshape(1, int(math.sqrt(n)), int(math.sqrt(n)), dim).permute(0, 3, 1, 2),
        scale_factor=(w0 / math.sqrt(n), h0 / math.sqrt(n)),
        mode="bicubic",
    )
    assert int(w0) == patch_pos_embed.shape[-2]
    assert int(h0) == patch_pos_embed.shape[-1]
    patch_pos_embed = patch_pos_embed.permute(0, 2, 3, 1).view(1, -1, dim)
    return torch.cat((class_pos_embed.unsqueeze(0), patch_pos_embed), dim=1)


def test_every_way_of_resampling_is_told_in_words() -> None:
    assert IN_WORDS.keys() == RESAMPLINGS.keys()


@pytest.mark.parametrize("target", [(3, 5), (7, 7), (14, 9), (11, 23), (1, 2)])
def test_the_dino_way_is_dinos_formula(target: tuple[int, int]) -> None:
    native = positions(prefix=1, native=(7, 7))
    got = resample_positions(native, prefix=1, native=(7, 7), target=target, resampling="dino")
    expected = native if target == (7, 7) else dino_interpolate_pos_encoding(native, target)
    torch.testing.assert_close(got, expected, rtol=0, atol=0)


def test_the_dino_way_is_not_the_bicubic_way() -> None:
    native = positions(prefix=1, native=(7, 7))
    dino, bicubic = (
        resample_positions(native, prefix=1, native=(7, 7), target=(3, 5), resampling=name)
        for name in ("dino", "bicubic")
    )
    assert not torch.allclose(dino, bicubic, atol=1e-3)


@pytest.mark.parametrize("resampling", ["dino", "bicubic"])
def test_the_native_grid_gets_the_very_same_tensor(resampling: str) -> None:
    native = positions(prefix=3, native=(3, 5))
    assert resample_positions(native, prefix=3, native=(3, 5), target=(3, 5), resampling=resampling) is native


@pytest.mark.parametrize("resampling", ["dino", "bicubic"])
def test_the_same_number_of_patches_on_another_grid_is_resampled(resampling: str) -> None:
    native = positions(prefix=1, native=(3, 5))
    turned = resample_positions(native, prefix=1, native=(3, 5), target=(5, 3), resampling=resampling)
    assert turned.shape == native.shape
    assert not torch.allclose(turned, native, atol=1e-3)


@pytest.mark.parametrize("resampling", ["dino", "bicubic"])
@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_rows_and_columns_keep_their_roles_and_prefix_rows_their_values(resampling: str, prefix: int) -> None:
    rows, cols = torch.meshgrid(torch.arange(5.0), torch.arange(3.0), indexing="ij")
    native = positions(prefix=prefix, native=(5, 3), dim=2)
    native[0, prefix:] = torch.stack([rows.flatten(), cols.flatten()], dim=1)
    got = resample_positions(native, prefix=prefix, native=(5, 3), target=(7, 11), resampling=resampling)
    torch.testing.assert_close(got[:, :prefix], native[:, :prefix], rtol=0, atol=0)
    field = got[0, prefix:].view(7, 11, 2)
    torch.testing.assert_close(field[..., 0], field[:, :1, 0].expand(7, 11), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(field[..., 1], field[:1, :, 1].expand(7, 11), rtol=1e-5, atol=1e-5)
    assert (field[1:-1, 0, 0].diff() > 0).all()
    assert (field[0, 1:-1, 1].diff() > 0).all()


def test_the_bicubic_way_reads_patch_centres_symmetrically() -> None:
    ramp = torch.arange(4.0).view(1, 4, 1)
    got = resample_positions(ramp, prefix=0, native=(1, 4), target=(1, 6), resampling="bicubic").flatten()
    torch.testing.assert_close(got + got.flip(0), torch.full((6,), 3.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resampling": "nearest"}, r"one of \['antialias', 'bicubic', 'corners', 'dino'\]; got 'nearest'"),
        ({"prefix": 2}, "must have 17 rows for 2 prefix tokens and a 3×5 grid; got 16"),
        ({"native": (5, 5)}, "must have 26 rows for 1 prefix tokens and a 5×5 grid; got 16"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, object], message: str) -> None:
    asked = {"prefix": 1, "native": (3, 5), "target": (7, 7), "resampling": "dino", **options}
    with pytest.raises(SpecError, match=message):
        resample_positions(positions(prefix=1, native=(3, 5)), **asked)
