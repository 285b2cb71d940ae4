"""What the pages ask of the engine: models, pictures and traces, shared by all sessions.

The only room with Streamlit caches and the only caller of the engine's functions.
"""

import hashlib
import io
import os
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image

import vit_engine as ve
from dashboard.jobs import Jobs, Progress, Store
from dashboard.samples import SAMPLES, Sample, find_sample
from dashboard.state import DEFAULT, UPLOAD_PREFIX
from vit_engine.demo.scenes import draw_scene
from vit_engine.image import target_size
from vit_engine.planning import in_words
from vit_engine.weights import works_offline

TRACE_BYTES = int(os.environ.get("VIT_DASHBOARD_TRACE_BYTES", str(1 << 30)))
UPLOAD_BYTES = 1 << 28
MAX_PATCHES = 12_000
MODELS_KEPT = 6  # in memory at once, the last used; a ViT-B takes 343 MB


@dataclass(frozen=True)
class Picture:
    """A picture's file, its sha256, its shape (height, width) in pixels, and what to call it.

    credit: empty for uploads. scene: whether it was generated.
    """

    data: bytes
    sha256: str
    shape: tuple[int, int]
    title: str
    credit: str = ""
    scene: bool = False


@dataclass(frozen=True)
class Analysis:
    """One picture in one model: what Explore draws from. pixels: uint8 (height, width, 3), as the model saw them."""

    trace: ve.AttentionTrace
    pixels: np.ndarray
    report: ve.LoadReport


@dataclass(frozen=True)
class Cost:
    """What an analysis will take: its tokens, bytes of memory and seconds. refusal: why it will not run, or empty."""

    grid: ve.TokenGrid
    peak_bytes: int
    seconds: float
    refusal: str = ""

    @property
    def memory(self) -> str:
        """The bytes, for people."""
        return in_words(self.peak_bytes)


@st.cache_resource(show_spinner=False)
def _traces() -> Store[Analysis]:
    return Store(TRACE_BYTES, size=lambda analysis: analysis.trace.nbytes)


@st.cache_resource(show_spinner=False)
def _uploads() -> Store[Picture]:
    return Store(UPLOAD_BYTES, size=lambda picture: len(picture.data))


@st.cache_resource(show_spinner=False)
def _runs() -> Jobs:
    """One at a time: a run already uses all cores."""
    return Jobs(at_once=1, waiting="waiting for another analysis on this server to finish")


@st.cache_resource(show_spinner=False)
def _loads() -> Jobs:
    """Downloads wait for the network, not for cores: several at a time, and never in the way of a run."""
    return Jobs(at_once=4, waiting="waiting for other models to load")


def models() -> dict[str, ve.ModelSpec]:
    """All models by name, in the order to show them."""
    return {spec.name: spec for spec in ve.list_models()}


def is_ready(spec: ve.ModelSpec) -> bool:
    """Whether a model needs no download."""
    return works_offline(spec)


@st.cache_resource(show_spinner=False)
def sample_picture(name: str) -> Picture:
    """A sample as a picture."""
    sample = find_sample(name) or SAMPLES[0]
    buffer = io.BytesIO()
    Image.fromarray(_sample_pixels(sample)).save(buffer, "PNG")
    data = buffer.getvalue()
    picture = ve.open_image(data)
    return Picture(
        data, picture.info["sha256"], _shape(picture), sample.title, sample.credit, scene=sample.scene is not None
    )


def _shape(picture: Image.Image) -> tuple[int, int]:
    return picture.height, picture.width


def _sample_pixels(sample: Sample) -> np.ndarray:
    if sample.scene is not None:
        seed, height, width = sample.scene
        return draw_scene(seed, (height, width)).pixels
    import skimage.data  # noqa: PLC0415  (slow to import, and only needed for photographs)

    pixels = getattr(skimage.data, sample.photograph)()
    return np.where(pixels, 255, 0).astype(np.uint8) if pixels.dtype == bool else pixels


@st.cache_data(show_spinner=False)
def thumbnail(name: str, side: int = 96) -> bytes:
    """The middle of a sample, a square JPEG of this side in pixels."""
    picture = ve.open_image(sample_picture(name).data)
    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    buffer = io.BytesIO()
    picture.crop((left, top, left + edge, top + edge)).resize((side, side)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def keep_upload(data: bytes, progress: Progress) -> Picture:
    """An uploaded file as a picture that links can name as long as it is held; ImageError if it is none."""
    sha256 = hashlib.sha256(data).hexdigest()

    def check(report: Progress) -> Picture:
        report(0.0, "reading the picture")
        picture = Picture(data, sha256, _shape(ve.open_image(data)), "Uploaded picture")
        _uploads().put(sha256, picture)
        return picture

    return _uploads().get(sha256) or _loads().run(("upload", sha256), check, progress)


def find_upload(sha256: str) -> Picture | None:
    """An uploaded picture that is still held, or None."""
    return _uploads().get(sha256)


def find_picture(name: str) -> Picture:
    """A sample by its name, or an upload by "sha256:…"; ImageError if that is no longer held."""
    if not name.startswith(UPLOAD_PREFIX):
        return sample_picture(name)
    upload = find_upload(name.removeprefix(UPLOAD_PREFIX))
    if upload is None:
        raise ve.ImageError("The uploaded picture is no longer held here: upload it again.")
    return upload


@st.cache_resource(show_spinner=False, max_entries=MODELS_KEPT)
def _load_model(name: str, _report: Progress) -> ve.LoadedModel:
    return ve.load_model(name, progress=_report)


def load_model(name: str, progress: Progress) -> ve.LoadedModel:
    """A model, loaded once for all sessions; VitEngineError where it cannot be."""
    return _loads().run(("model", name), lambda report: _load_model(name, report), progress)


def cost(picture: Picture, model: str, size: int) -> Cost:
    """What analyse() will take; VitEngineError where it cannot be. The first call measures the machine's speed."""
    spec = models()[model]
    grid = spec.cropped_grid(*target_size(picture.shape, spec, size))
    estimate = ve.estimate(spec, grid)
    key = _key(picture, model, size)
    known = _traces().get(key) is not None or _runs().has(key)  # what runs already has its memory
    return Cost(grid, estimate.peak_bytes, estimate.seconds, "" if known else _refusal(estimate))


def _refusal(estimate: ve.Estimate) -> str:
    """What stands against a run, in few words; empty where nothing does."""
    budget = ve.memory_budget("auto")
    if estimate.peak_bytes > budget:
        return f"only {in_words(budget)} may be taken now"
    if estimate.kept_bytes > TRACE_BYTES:
        return f"its trace of {in_words(estimate.kept_bytes)} is over the {in_words(TRACE_BYTES)} kept here"
    return f"at most {MAX_PATCHES:,} patches are allowed here" if estimate.grid.patches > MAX_PATCHES else ""


def _key(picture: Picture, model: str, size: int) -> tuple[str, str, int]:
    return model, picture.sha256, size


def analyse(picture: Picture, model: str, size: int, progress: Progress) -> Analysis:
    """A picture through a model, or the same from the store; VitEngineError where it cannot be.

    size: short side in pixels. progress(fraction, message) tells what is being done; what it raises
    ends the waiting, while the work goes on for those who come back to it soon.
    """
    key = _key(picture, model, size)
    kept = _traces().get(key)
    if kept is not None:
        return kept
    loaded = load_model(model, progress)

    def run(report: Progress) -> Analysis:
        if (done := _traces().get(key)) is not None:  # by a job that ended between the look above and this one
            return done
        report(0.0, "reading the picture")
        prepared = ve.prepare_image(ve.open_image(picture.data), loaded.spec, size=size)
        _demand_room(loaded.spec, prepared.grid)
        trace = ve.attend(loaded, prepared, progress=lambda share, layer: report(share, f"attention: {layer}"))
        analysis = Analysis(trace, prepared.pixels, loaded.report)
        _traces().put(key, analysis)
        return analysis

    return _runs().run(key, run, progress)


def _demand_room(spec: ve.ModelSpec, grid: ve.TokenGrid) -> None:
    """ResourceError for what would not fit the store, or would keep the server and the browser busy for minutes."""
    kept = ve.estimate(spec, grid).kept_bytes
    if grid.patches > MAX_PATCHES or kept > TRACE_BYTES:
        raise ve.ResourceError(
            f"This picture would have {grid.patches:,} patches, and its trace {kept / 1e6:,.0f} MB; at most "
            f"{MAX_PATCHES:,} patches and {TRACE_BYTES / 1e6:,.0f} MB are allowed here. Choose a smaller short side, "
            "larger patches, or a smaller model."
        )


def warm_up() -> None:
    """Analyse what a new session opens with, so that the first visitor does not wait for it."""
    for sample in SAMPLES:
        thumbnail(sample.name)
    picture = sample_picture(DEFAULT.picture)
    cost(picture, DEFAULT.model, DEFAULT.size)
    analyse(picture, DEFAULT.model, DEFAULT.size, lambda fraction, message: None)


def statistics(analysis: Analysis) -> pd.DataFrame:
    """The table of all heads; its columns are vit_engine.statistics.COLUMNS."""
    return analysis.trace.statistics.to_frame()
