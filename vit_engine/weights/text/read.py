"""From a loaded model to the text tower beside it: in the file, the folder or the module that it came from."""

from torch import nn

from vit_engine.errors import CheckpointError
from vit_engine.weights.convert import recognise, taking_for_granted
from vit_engine.weights.formats import FORMATS
from vit_engine.weights.formats.common.text import VISUAL_ALONE, TextTower, no_text_tower
from vit_engine.weights.formats.hf_clip import WHY_TEXT
from vit_engine.weights.live.module import CONTAINER, read_module, read_whole_clip
from vit_engine.weights.live.text import settle_text
from vit_engine.weights.reading.listing import naming_file
from vit_engine.weights.reading.read import CheckpointFile, read_checkpoint
from vit_engine.weights.report import LoadedModel, LoadReport

NO_TEXT_BY_NAME = "it is a model of pictures alone"  # as all models of the registry, whose weights may not be here


def may_have_text(loaded: LoadedModel) -> bool:
    """Whether a text tower is where a model came from, by what was seen when it was loaded. Reads nothing.

    False is certain; of modules in memory, True only says that it is a CLIP.
    """
    return not why_no_text(loaded.report)


def why_no_text(report: LoadReport) -> str:
    """Why there is no text tower where a model came from, in few words; empty where there may be one. Reads nothing."""
    if report.random:
        return "its weights are random"
    if not _has_texts(report.format):
        return f"its format, {report.format}, is of pictures alone"
    if report.container == "onnx":
        return "texts are not read from ONNX files"
    dropped = any(why == WHY_TEXT for _, why in report.dropped)
    return "" if dropped or report.container == CONTAINER else VISUAL_ALONE


def require_text(loaded: LoadedModel) -> None:
    """CheckpointError, saying why, where there is no text tower for certain."""
    refuse_text(why_no_text(loaded.report), loaded.report.source)


def refuse_text(why: str, source: str) -> None:
    """CheckpointError, naming the source, where why says that there is no text tower; nothing where it is empty."""
    if why:
        with naming_file(source):
            raise no_text_tower(why)


def read_text_tower(loaded: LoadedModel) -> tuple[TextTower, nn.Module | None]:
    """All of its tensors, in the types that they have, by open_clip's names; and the module in memory that it is of.

    CheckpointError where there is none, and where it is not here any more, or has changed since the model was loaded.
    """
    require_text(loaded)
    with naming_file(loaded.report.source):
        file = _read_again(loaded)
    recognised = recognise(file)
    with naming_file(file.source), taking_for_granted("its text tower has not the shapes of CLIP's"):
        read = recognised.format.text
        if read is None:
            raise no_text_tower()
        tower = read(recognised.conversion, recognised.sidecar)
        if file.module is not None and not file.config:
            tower = settle_text(tower, file.module, loaded.spec.mlp)
        return tower, file.module


def _has_texts(format_name: str) -> bool:
    return any(each.name == format_name and each.text is not None for each in FORMATS)


def _read_again(loaded: LoadedModel) -> CheckpointFile:
    """CheckpointError unless it is what the model was loaded from, unchanged."""
    origin, expected = loaded.origin, loaded.report.sha256
    if origin is None:
        raise CheckpointError("it does not say where its text tower is. Use the model as load_model() returns it.")
    if origin.path is not None:
        file = read_checkpoint(origin.path)
        _check_unchanged(file.sha256, expected)
        return file
    module = None if origin.module is None else origin.module()
    if module is None:
        raise CheckpointError(
            "the module that it was loaded from is gone, and its texts are read from there. Keep a reference to the "
            "module as long as texts are asked for, and load it again."
        )
    _check_unchanged(read_module(module).sha256, expected)
    return read_whole_clip(module)


def _check_unchanged(got: str, expected: str | None) -> None:
    if got != expected:
        raise CheckpointError("it has changed since the model was loaded from it. Load it again.")
