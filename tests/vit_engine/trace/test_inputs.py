"""attend() in one line: models and pictures in whatever form they are had."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vit_engine as ve
from vit_engine.trace import inputs
from vit_engine.weights import LoadedModel, load_model

NOISE = np.random.default_rng(0).integers(0, 256, (44, 68, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    return load_model("demo_vit_p16", device="cpu")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Image.fromarray(NOISE).save(tmp_path / "noise.png")
    return tmp_path / "noise.png"


@pytest.fixture
def expected(loaded: LoadedModel) -> np.ndarray:
    prepared = ve.prepare_image(Image.fromarray(NOISE), loaded.spec, size=32)
    return ve.attend(loaded, prepared).attention_map().values


PICTURES: dict[str, Callable[[Path], Any]] = {
    "a path": lambda path: path,
    "a path's text": str,
    "bytes": Path.read_bytes,
    "a PIL picture": lambda _: Image.fromarray(NOISE),
    "a PIL picture of another mode": lambda _: Image.fromarray(NOISE).convert("RGBA"),
    "bytes in an array": lambda _: NOISE,
    "a part of an array": lambda _: np.pad(NOISE, ((1, 0), (2, 0), (0, 1)))[1:, 2:, :3],
    "float32": lambda _: NOISE.astype(np.float32) / 255,
    "float64": lambda _: NOISE / 255,
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_in_any_form_is_the_same(kind: str, path: Path, loaded: LoadedModel, expected: np.ndarray) -> None:
    trace = ve.attend(loaded, PICTURES[kind](path), size=32)
    np.testing.assert_array_equal(trace.attention_map().values, expected)


@pytest.mark.parametrize("kind", ["name", "spec", "path", "module"])
def test_a_model_in_any_form_is_the_same(
    kind: str, loaded: LoadedModel, expected: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "load_model", lambda model, **options: load_model(model, device="cpu", **options))
    weights = Path(ve.__file__).parent / "demo" / "weights" / loaded.spec.weights.filename
    model = {"name": "demo_vit_p16", "spec": loaded.spec, "path": weights, "module": loaded.model}[kind]
    trace = ve.attend(model, NOISE, size=32)
    if kind == "module":  # which holds no mean and std of pictures
        assert trace.attention_map().values.shape == expected.shape
    else:
        np.testing.assert_array_equal(trace.attention_map().values, expected)


def test_a_loaded_model_and_a_prepared_picture_are_taken_as_they_are(loaded: LoadedModel) -> None:
    prepared = ve.prepare_image(NOISE, loaded.spec)
    model, picture = inputs.ready(loaded, prepared, size=None, progress=None)
    assert model is loaded
    assert picture is prepared


def test_progress_is_of_the_run(loaded: LoadedModel) -> None:
    shares: list[float] = []
    ve.attend(loaded.spec, NOISE, size=32, progress=lambda share, _: shares.append(share))
    assert shares[-loaded.spec.depth :] == [(layer + 1) / loaded.spec.depth for layer in range(loaded.spec.depth)]


def test_the_picture_is_opened_before_weights_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "load_model", None)
    with pytest.raises(ve.ImageError, match=r"'missing\.jpg' cannot be read: No such file or directory\. Check"):
        ve.attend("dino_vits16", "missing.jpg")


def test_a_model_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ve.SpecError, match="no model is called 'no_such_model'"):
        ve.attend("no_such_model", NOISE)
    with pytest.raises(ve.SpecError, match=r"a model must be a name, .*; got int\."):
        ve.attend(3, NOISE)


@pytest.mark.parametrize("swap", ["array", "PIL", "prepared", "module last", "spec last"])
def test_the_wrong_order_is_named(swap: str, loaded: LoadedModel) -> None:
    prepared = ve.prepare_image(NOISE, loaded.spec)
    pictures = {"array": NOISE, "PIL": Image.fromarray(NOISE), "prepared": prepared}
    first = pictures.get(swap, b"of a picture")
    last = {"module last": loaded.model, "spec last": loaded.spec}.get(swap, loaded)
    message = f"take the model first, then the picture; got {type(first).__name__} first, then {type(last).__name__}"
    for run in (ve.attend, ve.features):
        with pytest.raises(ve.SpecError, match=message):
            run(first, last)


def test_the_wrong_order_is_seen_in_names_and_paths() -> None:
    for first in ("cat.jpg", Path("cat.jpg")):
        with pytest.raises(ve.SpecError, match=r"got 'cat\.jpg' first, then 'dino_vits16'\."):
            ve.attend(first, "dino_vits16")


def test_a_pil_picture_that_cannot_be_decoded_is_none(path: Path, loaded: LoadedModel) -> None:
    closed = Image.open(path)
    closed.close()
    damaged = Image.open(io.BytesIO(path.read_bytes()[:2000]))
    for picture in (closed, damaged):
        with pytest.raises(ve.ImageError, match=r"the PIL picture cannot be decoded: .*open it again\."):
            ve.attend(loaded, picture)
    with pytest.raises(ve.ImageError, match="must have pixels; the PIL picture is 0×5 px"):
        ve.attend(loaded, Image.new("RGB", (0, 5)))


def test_a_size_that_is_no_number_is_shown_as_it_was_given(loaded: LoadedModel) -> None:
    with pytest.raises(ve.SpecError, match=r"at least one patch of 16 px; got '32'\."):
        ve.attend(loaded, NOISE, size="32")


def test_the_size_of_a_prepared_picture_is_settled(loaded: LoadedModel) -> None:
    prepared = ve.prepare_image(NOISE, loaded.spec, size=(32, 48))
    with pytest.raises(ve.SpecError, match=r"this one is, to 32×48 px\. Leave size= out"):
        ve.attend(loaded, prepared, size=32)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (3, "a picture must be a path, .*; got int"),
        (None, "got NoneType"),
        (np.moveaxis(NOISE, -1, 0), r"got uint8 \(3, 44, 68\)\. Put the channels last"),
        (NOISE[..., 0], r"got uint8 \(44, 68\)\.$"),
        (NOISE[None], r"got uint8 \(1, 44, 68, 3\)\.$"),
        (NOISE[:0], r"got uint8 \(0, 68, 3\)\.$"),
        (NOISE.astype(np.int64), r"got int64 \(44, 68, 3\)"),
        (NOISE.astype(np.float32), r"float32 must have values in 0\.\.1; got 0 to 255"),
        (NOISE / 255 - 0.5, r"float64 must have values in 0\.\.1; got -0\.5 to 0\.5"),
        (np.full((9, 9, 3), np.nan), r"values in 0\.\.1; got nan to nan"),
    ],
)
def test_what_is_no_picture_is_refused(picture: Any, message: str, loaded: LoadedModel) -> None:
    for use in (lambda: ve.attend(loaded, picture), lambda: ve.prepare_image(picture, loaded.spec)):
        with pytest.raises(ve.ImageError, match=message):
            use()
