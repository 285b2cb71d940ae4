"""A weight file brought to the names of VisionTransformer, and proof that it fits a model, tensor by tensor."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vit_engine.devices import out_of_memory
from vit_engine.errors import CheckpointError
from vit_engine.model import VisionTransformer
from vit_engine.model.positions import rope_periods
from vit_engine.spec import ModelSpec
from vit_engine.weights.architecture import Heads, Shape, read_spec
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.diagnosis import check_plain, check_weights, diagnosis
from vit_engine.weights.exported import name_tensors, settle
from vit_engine.weights.formats import FORMATS, Format, Metadata, Sidecar
from vit_engine.weights.live.facts import with_facts
from vit_engine.weights.reading.limits import check_names, check_tensors_within_limit
from vit_engine.weights.reading.listing import naming_file, quoted
from vit_engine.weights.reading.read import CheckpointFile
from vit_engine.weights.reading.unwrap import StateDict, find_state_dict, strip_unknown, strip_wrappers
from vit_engine.weights.report import LoadReport

_ODD_GRAPH = "its graph has nodes that are not as ONNX has them"
_MOST_WRAPPERS = 4  # that nobody knows, one in another


@dataclass(frozen=True)
class Recognised:
    """A file, what was taken of it, its format, its tensors without wrappers' names, and what came with them."""

    file: CheckpointFile
    state: StateDict
    format: Format
    conversion: Conversion
    sidecar: Sidecar


@dataclass(frozen=True)
class Converted:
    """A file, what was taken of it, its format, its tensors under their names here, and what they do not show."""

    file: CheckpointFile
    state: StateDict
    format: Format
    conversion: Conversion
    metadata: Metadata

    @property
    def heads(self) -> Heads | None:
        """As the file, or what came with it, says; None where nothing does."""
        return None if self.metadata.heads is None else Heads(self.metadata.heads, self.metadata.heads_from)

    def spec(self, heads: int) -> ModelSpec:
        """The model that the tensors show, with this many heads. CheckpointError where they are of no ViT."""
        with naming_file(self.file.source):
            return read_spec(self.conversion, self.metadata, name=self.file.name, heads=heads)

    def report(self, spec: ModelSpec, *, heads_from: str) -> LoadReport:
        learned = spec.positions == "learned"
        matched, converted = self.conversion.matched, self.conversion.converted
        dtypes = Counter(self.state.tensors[key].dtype for key in (*matched, *(key for key, _ in converted)))
        return LoadReport(
            source=self.file.source,
            format=self.format.name,
            sha256=self.file.sha256,
            matched=matched,
            converted=converted,
            dropped=(*self.conversion.dropped, *self.state.left_out, *self.file.left_out),
            container=self.file.container,
            part=self.state.part,
            dtypes=tuple((str(dtype).removeprefix("torch."), count) for dtype, count in dtypes.most_common()),
            heads_from=heads_from,
            native_grid=spec.grid(*spec.native_size).shape if learned else None,
            resampling=spec.resampling if learned else "",
            assumed=() if spec.weights is not None else self.metadata.assumed + self.metadata.assumed_equations,
        )

    def prove(self, spec: ModelSpec) -> VisionTransformer:
        """The model without weights. CheckpointError unless these tensors are its weights, all of them and no other."""
        with torch.device("meta"):
            model = VisionTransformer(spec)
        expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        with naming_file(self.file.source):
            tensors = self._tensors(spec)
            got = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
            _check_fit(self.file, spec, expected, got)
            check_weights(tensors)
        return model

    def assemble(self, spec: ModelSpec) -> VisionTransformer:
        """The model with these tensors, in float32. CheckpointError as prove() raises it."""
        model = self.prove(spec)
        with naming_file(self.file.source):
            tensors = {name: tensor.float().contiguous() for name, tensor in self._tensors(spec).items()}
        model.load_state_dict(tensors, assign=True)
        return model

    def _tensors(self, spec: ModelSpec) -> dict[str, Tensor]:
        """With the periods of rotary positions, where the file lacks them: they follow from the heads."""
        base = self.metadata.rope_base
        periods = {} if base is None else {"rope_periods": rope_periods(spec.dim // spec.heads, base=base)}
        return {**periods, **self.conversion.tensors}


def convert(file: CheckpointFile) -> Converted:
    """CheckpointError, naming the file, where it is of no format that is known here."""
    recognised = recognise(file)
    kind, conversion = recognised.format, recognised.conversion
    with naming_file(file.source):
        metadata = _settled(file, kind, conversion, recognised.sidecar)
    return Converted(file, recognised.state, kind, conversion, metadata)


def recognise(file: CheckpointFile) -> Recognised:
    """Whose tensors still have their format's names; CheckpointError as convert() raises it."""
    with naming_file(file.source):
        state = find_state_dict(file.content, file.part)
        if state.part and file.module is not None:
            raise CheckpointError(f"it holds several networks, {state.part!r} among them; {file.other_part}.")
        check_names(state.tensors)
        check_plain(state.tensors)
        check_tensors_within_limit(state.tensors)
        conversion, sidecar = Conversion(state.tensors), _sidecar(file, state)
        if file.graph is not None:
            with taking_for_granted(_ODD_GRAPH):
                name_tensors(conversion, file.graph)
            check_names(conversion.tensors)
            check_tensors_within_limit(conversion.tensors)  # one of the file may be several
        strip_wrappers(conversion)
        kind, left = _format_of(conversion, sidecar), _MOST_WRAPPERS
        while kind is None and left and strip_unknown(conversion):
            kind, left = _format_of(conversion, sidecar), left - 1
        if kind is None:
            raise CheckpointError(
                diagnosis(state.tensors, [each.name for each in FORMATS if each.of_files], file.other_part)
            )
        return Recognised(file, state, kind, conversion, sidecar)


def _sidecar(file: CheckpointFile, state: StateDict) -> Sidecar:
    graph, live = file.graph is not None, file.module is not None
    return Sidecar(file.config, file.preprocessor, state.arguments, graph=graph, live=live)


def _settled(file: CheckpointFile, kind: Format, conversion: Conversion, sidecar: Sidecar) -> Metadata:
    """With what a graph or a module says, which no tensor shows."""
    metadata = _metadata(kind, conversion, sidecar)
    if file.module is not None:
        return with_facts(metadata, file.module, conversion)
    if file.graph is None:
        return metadata
    with taking_for_granted(_ODD_GRAPH):
        return settle(metadata, conversion, file.graph, configured=bool(sidecar.config))


def _format_of(conversion: Conversion, sidecar: Sidecar) -> Format | None:
    return next((each for each in FORMATS if each.recognises(conversion, sidecar)), None)


def _metadata(kind: Format, conversion: Conversion, sidecar: Sidecar) -> Metadata:
    with taking_for_granted(f"it has the names of {kind.name} and not its shapes"):
        return kind.convert(conversion, sidecar)


@contextlib.contextmanager
def taking_for_granted(otherwise: str) -> Iterator[None]:
    """Converters take shapes for granted, and so does what reads a graph; files come from strangers."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
        if out_of_memory(error):
            raise
        raise CheckpointError(f"{otherwise} ({type(error).__name__}: {error}).") from error


def _check_fit(file: CheckpointFile, spec: ModelSpec, expected: Mapping[str, Shape], got: Mapping[str, Shape]) -> None:
    if misfit := misfit_of(expected, got):
        raise CheckpointError(
            f"{file.source} does not fit {spec.name!r}, and nothing was loaded. {misfit} Take the "
            f"Vision Transformer alone, or {file.other_part}."
        )


def misfit_of(expected: Mapping[str, Shape], got: Mapping[str, Shape]) -> str:
    """What is missing, unexpected or of another shape, in words; empty where all fits."""
    missing = sorted(expected.keys() - got.keys())
    unexpected = sorted(got.keys() - expected.keys())
    wrong = [name for name in expected if name in got and got[name] != expected[name]]
    shapes = [f"{name}: {expected[name]} expected, {got[name]} got" for name in wrong]
    if not (missing or unexpected or shapes):
        return ""
    return f"Missing: {quoted(missing, 20)}. Unexpected: {quoted(unexpected, 20)}. Wrong shape: {quoted(shapes, 20)}."
