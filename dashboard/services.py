"""What the pages ask of the engine: models, pictures and traces, shared by all sessions.

The only room with Streamlit caches and the only caller of the engine's functions.
"""

import hashlib
import io
import os
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import pandas as pd
import streamlit as st
from cachetools import LRUCache
from PIL import Image

import vit_engine as ve
from dashboard.samples import SAMPLES, Sample, find_sample
from dashboard.state import DEFAULT, UPLOAD_PREFIX
from vit_engine.demo.scenes import draw_scene
from vit_engine.weights import works_offline

Progress = Callable[[float, str], None]

TRACE_BYTES = int(os.environ.get("VIT_DASHBOARD_TRACE_BYTES", str(1 << 30)))
UPLOAD_BYTES = 1 << 28
MODEL_BYTES = 1 << 31
RUNS_AT_ONCE = 1  # one run already uses all cores


@dataclass(frozen=True)
class Picture:
    """A picture's file, its sha256, and what to call it. credit: empty for uploads."""

    data: bytes
    sha256: str
    title: str
    credit: str = ""


@dataclass(frozen=True)
class Analysis:
    """One picture in one model: what Explore draws from. pixels: uint8 (height, width, 3), as the model saw them."""

    trace: ve.AttentionTrace
    pixels: np.ndarray
    report: ve.LoadReport


Value = TypeVar("Value")


class Store(Generic[Value]):
    """Values shared by all sessions, bounded in bytes, the least recently used out first.

    Values of one key are made once, however many sessions ask for it at the same time; different
    keys are made side by side, at most `at_once` of them.
    """

    def __init__(self, max_bytes: int, *, size: Callable[[Value], int], at_once: int) -> None:
        self._values: LRUCache[Hashable, Value] = LRUCache(max_bytes, getsizeof=size)
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}
        self._slots = threading.BoundedSemaphore(at_once)

    def get(self, key: Hashable) -> Value | None:
        """The value of a key, or None."""
        with self._lock:
            return self._values.get(key)

    def put(self, key: Hashable, value: Value) -> None:
        """Keep a value, unless it alone is over the bound."""
        with self._lock:
            if self._values.getsizeof(value) <= self._values.maxsize:
                self._values[key] = value

    def get_or_make(self, key: Hashable, make: Callable[[], Value], on_wait: Callable[[], None]) -> Value:
        """The value of a key, made now if need be. on_wait is called before waiting for others."""
        with self._lock:
            if key in self._values:
                return self._values[key]
            making = self._making.setdefault(key, threading.Lock())
        if making.locked():
            on_wait()
        try:
            with making:
                value = self.get(key)
                if value is None:
                    value = self._make(make, on_wait)
                    self.put(key, value)
                return value
        finally:
            with self._lock:
                self._making.pop(key, None)

    def _make(self, make: Callable[[], Value], on_wait: Callable[[], None]) -> Value:
        if not self._slots.acquire(blocking=False):
            on_wait()
            self._slots.acquire()
        try:
            return make()
        finally:
            self._slots.release()


@st.cache_resource(show_spinner=False)
def _traces() -> Store[Analysis]:
    return Store(TRACE_BYTES, size=lambda analysis: analysis.trace.nbytes, at_once=RUNS_AT_ONCE)


@st.cache_resource(show_spinner=False)
def _models() -> Store:
    return Store(MODEL_BYTES, size=lambda loaded: 4 * loaded.spec.parameter_count, at_once=RUNS_AT_ONCE)


@st.cache_resource(show_spinner=False)
def _uploads() -> Store[Picture]:
    return Store(UPLOAD_BYTES, size=lambda picture: len(picture.data), at_once=RUNS_AT_ONCE)


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
    return Picture(data, ve.open_image(data).info["sha256"], sample.title, sample.credit)


def _sample_pixels(sample: Sample) -> np.ndarray:
    if sample.scene is not None:
        seed, height, width = sample.scene
        return draw_scene(seed, (height, width)).pixels
    import skimage.data  # noqa: PLC0415  (slow to import, and only needed for photographs)

    pixels = getattr(skimage.data, sample.photograph)()
    return np.where(pixels, 255, 0).astype(np.uint8) if pixels.dtype == bool else pixels


@st.cache_data(show_spinner=False)
def thumbnail(name: str, side: int = 96) -> np.ndarray:
    """The middle of a sample, uint8 (side, side, 3)."""
    picture = ve.open_image(sample_picture(name).data)
    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    return np.asarray(picture.crop((left, top, left + edge, top + edge)).resize((side, side)))


def keep_upload(data: bytes, title: str) -> Picture:
    """An uploaded file as a picture that links can name as long as it is held; ImageError if it is none."""
    sha256 = hashlib.sha256(data).hexdigest()
    held = _uploads().get(sha256)
    if held is None:
        ve.open_image(data)
        held = Picture(data, sha256, title)
        _uploads().put(sha256, held)
    return held


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


def load_model(name: str, progress: Progress) -> ve.LoadedModel:
    """A model, loaded once for all sessions; VitEngineError where it cannot be.

    Not a cached function of Streamlit's: those replay what was drawn while they ran, and progress
    draws into a place that is gone by then.
    """
    waiting = "waiting for another session to load this model"
    return _models().get_or_make(name, lambda: ve.load_model(name, progress=progress), lambda: progress(0.0, waiting))


def analyse(picture: Picture, model: str, size: int, progress: Progress) -> Analysis:
    """A picture through a model, or the same from the store; VitEngineError where it cannot be.

    size: short side in pixels. progress(fraction, message) tells what is being done.
    """

    def run() -> Analysis:
        loaded = load_model(model, progress)
        progress(0.0, "reading the picture")
        prepared = ve.prepare_image(ve.open_image(picture.data), loaded.spec, size=size)
        trace = ve.attend(loaded, prepared, progress=progress)
        return Analysis(trace, prepared.pixels, loaded.report)

    key = (model, picture.sha256, size)
    waiting = "waiting for another analysis on this server to finish"
    return _traces().get_or_make(key, run, lambda: progress(0.0, waiting))


def warm_up() -> None:
    """Analyse what a new session opens with, so that the first visitor does not wait for it."""
    for sample in SAMPLES:
        thumbnail(sample.name)
    picture = sample_picture(DEFAULT.picture)
    analyse(picture, DEFAULT.model, DEFAULT.size, lambda fraction, message: None)


def statistics(analysis: Analysis) -> pd.DataFrame:
    """The table of all heads; its columns are vit_engine.statistics.COLUMNS."""
    return analysis.trace.statistics.to_frame()
