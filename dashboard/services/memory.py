"""Models in memory: loaded once for all sessions, bounded in bytes, the least recently used out first."""

from collections.abc import Hashable
from dataclasses import dataclass, replace

import streamlit as st

import vit_engine as ve
from dashboard.services import limits
from dashboard.services.checkpoints import user_models
from dashboard.services.checkpoints.folder import Stamp, stamp
from dashboard.services.checkpoints.names import parse, taken_apart
from dashboard.services.checkpoints.paths import errors_naming, errors_without_paths, without_paths
from dashboard.services.checkpoints.user_models import READ_BYTES, SMALL_SECONDS, readers
from dashboard.services.jobs import Store
from dashboard.services.lanes import Size
from dashboard.services.process import once_per_process, session
from vit_engine.progress import Progress
from vit_engine.registry import find_model
from vit_engine.resources.budget import format_bytes
from vit_engine.weights import weights_path, works_offline


@dataclass(frozen=True)
class Held:
    """A model in memory: its name, its bytes, the device that it is on."""

    name: str
    nbytes: int
    device: str


_reports = once_per_process(lambda: Store[ve.LoadReport](256, size=lambda _: 1))
_store = once_per_process(lambda: Store[ve.LoadedModel](limits.MODEL_BYTES, size=lambda loaded: loaded.nbytes))


@once_per_process
def _damaged() -> dict[str, Stamp]:
    """Weight files of the registry's models that could not be loaded, by the models' names."""
    return {}


@st.cache_resource(show_spinner=False)
def _held() -> Store[ve.LoadedModel]:
    """The store of models; clearing Streamlit's caches drops this reference to it, and no model."""
    return _store()


def version(name: str) -> Hashable:
    """What distinguishes a model from an earlier one of the same name: files can be overwritten."""
    added = user_models.find(name)
    return (name, added.stamp if added else None)


def check_current(name: str) -> None:
    """CheckpointError for a model from a file that was not added, or whose file is gone or another by now."""
    added = user_models.find(name)
    if added is not None:
        user_models.check_unchanged(name, added)
    elif parse(name) is not None:
        raise ve.CheckpointError(f"{name!r} is not among the models: add it on the page Models.")


def load_model(name: str, progress: Progress) -> ve.LoadedModel:
    """A model, loaded once for all sessions; VitEngineError where it cannot be. Nothing is downloaded for it."""
    check_current(name)
    added, key = user_models.find(name), version(name)
    if (held := _held().get(key)) is not None:
        return held
    spec = added.spec if added else find_model(name)
    if too_large(spec):
        takes, most = format_bytes(model_bytes(spec)), format_bytes(limits.MODEL_BYTES)
        advice = "Choose a smaller one, or start the server with a larger VIT_DASHBOARD_MODEL_BYTES."
        raise ve.ResourceError(f"{spec.title} takes {takes} of memory, and models may take {most} here. {advice}")
    if not added and not works_offline(spec):
        raise ve.CheckpointError(f"the weights of {spec.title} are not here yet: download them on the page Models.")

    def load(report: Progress) -> ve.LoadedModel:
        report(0.0, f"loading {spec.title}")
        _held().make_room(model_bytes(spec))
        loaded = _load_published(name, report) if added is None else _load_own(name, added)
        _reports().put(name, loaded.report)
        return loaded

    seconds = model_bytes(spec) / READ_BYTES
    if added is None:  # a model of the registry counts as small: it never waits for a stranger's large file
        seconds = min(seconds, SMALL_SECONDS)
    size = Size(seconds, 2 * model_bytes(spec))  # in memory twice, as it is in the file and as the model
    return readers().run(key, load, progress, store=_held(), session=session(), size=size)


def _load_published(name: str, progress: Progress) -> ve.LoadedModel:
    """A model of the registry. Its report names the file and not where it lies."""
    spec = find_model(name)
    try:
        with errors_without_paths():
            loaded = ve.load_model(name, progress=progress)
    except ve.CheckpointError:
        if spec.weights is not None and works_offline(spec):
            _damaged()[name] = stamp(weights_path(spec))
        raise
    return replace(loaded, report=replace(loaded.report, source=without_paths(loaded.report.source)))


def _load_own(name: str, added: user_models.UserModel) -> ve.LoadedModel:
    user_models.check_unchanged(name, added)
    parts = taken_apart(name)
    with user_models.opened(name, added.display_name) as path, errors_naming(path, added.spec.title):
        loaded = ve.load_model(parts.source(path), heads=parts.heads)
    if loaded.report.sha256 != added.sha256:
        raise ve.CheckpointError(f"{added.spec.title} was overwritten while it was being read: add it again.")
    return replace(loaded, spec=added.spec, report=replace(loaded.report, source=name))


def model_bytes(spec: ve.ModelSpec) -> int:
    """Of a model in memory."""
    return 4 * spec.parameter_count


def too_large(spec: ve.ModelSpec) -> str:
    """Why a model cannot be held here, in few words; empty where it can."""
    if model_bytes(spec) <= limits.MODEL_BYTES:
        return ""
    return f"the model's {format_bytes(model_bytes(spec))} are over the {format_bytes(limits.MODEL_BYTES)} kept here"


def is_damaged(spec: ve.ModelSpec) -> bool:
    """Whether the weight file of a model of the registry is the same that could not be loaded before."""
    known = _damaged().get(spec.name)
    return known is not None and works_offline(spec) and stamp(weights_path(spec)) == known


def in_memory() -> dict[str, Held]:
    """Models in memory by name, the largest first."""
    held = [Held(loaded.spec.name, loaded.nbytes, str(loaded.device)) for _, loaded in _held().entries()]
    return {one.name: one for one in sorted(held, key=lambda one: -one.nbytes)}


def unload(name: str) -> int:
    """Take a model out of memory; returns the bytes that this frees, once no run uses it any more."""
    taken = [_held().pop(key) for key, loaded in _held().entries() if loaded.spec.name == name]
    return sum(loaded.nbytes for loaded in taken if loaded is not None)


def load_report(name: str) -> ve.LoadReport | None:
    """What was done when a model was last loaded by this server; None where it was not."""
    return _reports().get(name)
