"""inspect_checkpoint(): what a checkpoint is, proven tensor by tensor, before it becomes a model."""

from dataclasses import dataclass
from pathlib import Path

from vit_engine.errors import CheckpointError
from vit_engine.registry import find_model
from vit_engine.spec import ModelSpec
from vit_engine.weights.convert import convert
from vit_engine.weights.identify import advice, choices, convert_as, identify, known_heads, published
from vit_engine.weights.load import checkpoint_path
from vit_engine.weights.locate import weights_path
from vit_engine.weights.reading.parts import find_parts, sees_pictures
from vit_engine.weights.reading.read import read_checkpoint
from vit_engine.weights.report import LoadReport


@dataclass(frozen=True)
class Inspection:
    """What a checkpoint is, and what loading it does with every tensor.

    report: as of loading; its heads_from is empty where nobody says how many heads there are. spec: the model;
    None where nobody says it. architecture: spec, or the same model with the likeliest number of heads: all of it
    but its heads is read from the tensors. heads_choices, advice: where the file does not say its heads, the
    numbers that they can be, the likeliest first, and what is known of them, in words. parts: state dicts of the
    file that see pictures, the likeliest first, each as it stands after '#' in a path; the file itself is "".
    """

    report: LoadReport
    spec: ModelSpec | None
    architecture: ModelSpec
    heads_choices: tuple[int, ...] = ()
    advice: str = ""
    parts: tuple[str, ...] = ()

    @property
    def parameter_count(self) -> int:
        """All weights of the model."""
        return self.architecture.parameter_count


def inspect_checkpoint(name_or_path: str | Path, *, heads: int | None = None) -> Inspection:
    """What load_model() would make of a checkpoint, without making it, and without a word on heads if need be.

    name_or_path: as load_model() takes it; the weights of a model that is known by name must be here. heads: as
    its owner says. Raises what load_model() raises.
    """
    path = checkpoint_path(name_or_path)
    if path is None:
        return _inspect_as(find_model(str(name_or_path)), heads)
    converted = convert(read_checkpoint(path))
    said = known_heads(converted, published(converted))
    possible = () if said is not None else choices(converted)
    if said is None and heads is None:
        architecture, source = converted.spec(possible[0]), ""
    else:
        architecture, source = identify(converted, heads=heads)
    converted.prove(architecture)
    parts = sorted(find_parts(converted.file.content), key=lambda part: part.rank)
    return Inspection(
        report=converted.report(architecture, heads_from=source),
        spec=architecture if source else None,
        architecture=architecture,
        heads_choices=possible,
        advice=advice(converted) if possible else "",
        parts=tuple(part.name for part in parts if sees_pictures(part.tensors)),
    )


def _inspect_as(spec: ModelSpec, heads: int | None) -> Inspection:
    """The trained weights of a model that is known by name."""
    path = weights_path(spec)
    if not path.exists():
        raise CheckpointError(
            f"the weights of {spec.name!r} are not here: {path} does not exist. Fetch them with "
            f"`python -m vit_engine download {spec.name}`."
        )
    converted = convert_as(spec, path)
    if heads not in {None, spec.heads}:
        raise CheckpointError(f"{spec.name!r} has {spec.heads} heads; got heads={heads}. Leave heads= out.")
    converted.prove(spec)
    return Inspection(converted.report(spec, heads_from=f"the model {spec.name}"), spec, spec)
