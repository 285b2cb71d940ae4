"""Which model a bare file is: what it says itself, what it is known as, and what its owner says."""

from numbers import Integral
from pathlib import Path

from vit_engine.errors import CheckpointError, SpecError
from vit_engine.registry import model_of_file
from vit_engine.spec import ModelSpec
from vit_engine.weights.architecture import Heads, possible_heads
from vit_engine.weights.convert import Converted, convert
from vit_engine.weights.fetching.checksum import expected_sha256, verify
from vit_engine.weights.locate import weights_path
from vit_engine.weights.reading.read import read_checkpoint


def identify(converted: Converted, *, heads: int | None = None) -> tuple[ModelSpec, str]:
    """The model that a file is of, and what says its heads; CheckpointError where nothing does, or two say others."""
    known = published(converted)
    said = known_heads(converted, known)
    if said is None and heads is None:
        raise CheckpointError(
            f"{converted.file.source} does not say how many heads it has, and tensors cannot: pass heads=. "
            f"{advice(converted)}"
        )
    if said is not None and heads not in {None, said.number}:
        raise _contradiction(converted, said, f"heads={heads}. Leave heads= out.")
    said = said or Heads(_dividing(converted, heads), "heads=, as asked for")
    return known or converted.spec(said.number), said.source


def _dividing(converted: Converted, heads: object) -> int:
    """A number of heads that the file can have. SpecError for 3.5 or True: a rounded number is not what was meant."""
    if not isinstance(heads, Integral) or isinstance(heads, bool):
        raise SpecError(f"heads must be a whole number; got {heads!r}.")
    dim = converted.spec(1).dim
    if heads < 1 or dim % heads:
        raise CheckpointError(
            f"{converted.file.source}: heads must divide its {dim} dimensions; got heads={heads}. {advice(converted)}"
        )
    return int(heads)


def convert_as(spec: ModelSpec, path: Path) -> Converted:
    """A file as the weights of a model that is known. CheckpointError where it says another number of heads itself."""
    file = read_checkpoint(path)
    if spec.weights is not None and path == weights_path(spec):
        verify(path, spec.weights, file.sha256)
    converted = convert(file)
    said = converted.heads
    if said is not None and said.number != spec.heads:
        raise _contradiction(converted, said, f"{spec.heads} heads, of {spec.name!r}. Load the file by its own path.")
    return converted


def _contradiction(converted: Converted, said: Heads, got: str) -> CheckpointError:
    return CheckpointError(f"{converted.file.source} has {said.number} heads (from {said.source}); got {got}")


def known_heads(converted: Converted, known: ModelSpec | None) -> Heads | None:
    """As the file says, or what came with it, or the published model that it is; None where nothing does."""
    if converted.heads is not None or known is None:
        return converted.heads
    return Heads(known.heads, f"the name of the file, under which {known.name} was published")


def published(converted: Converted) -> ModelSpec | None:
    """The model that was published under this file's name, if its sha256, where known, and its tensors' shapes fit."""
    path = converted.file.path
    row = None if path is None else model_of_file(path)
    if path is None or row is None or row.weights is None:
        return None
    expected = expected_sha256(path, row.weights)
    if expected is not None and not expected.allows(converted.file.sha256):
        return None
    found = converted.spec(row.heads)
    return row if all(getattr(row, name) == getattr(found, name) for name in _SHOWN) else None


# What tensors show of an architecture.
_SHOWN = ("patch_size", "dim", "depth", "native_size", "registers", "distilled", "hidden", "layer_scale", "mlp")


def choices(converted: Converted) -> tuple[int, ...]:
    """Numbers of heads that the file can have, the likeliest first: for its owner to choose from."""
    spec = converted.spec(1)
    usual = converted.metadata.published.get((spec.dim, spec.depth))
    rest = [number for number in possible_heads(spec.dim) if number != usual]
    return (usual, *rest) if usual else tuple(rest)


def advice(converted: Converted) -> str:
    """What published models of this size have, or what is possible: for its owner to decide."""
    spec = converted.spec(1)
    usual = converted.metadata.published.get((spec.dim, spec.depth))
    kind = converted.format
    if usual is not None:
        known = f"Published {kind.name} models of {spec.dim} dimensions and {spec.depth} layers have {usual}."
    else:
        known = f"With {spec.dim} dimensions it can be {', '.join(map(str, possible_heads(spec.dim)[:6]))}."
    folder = f" A folder with the {kind.config_file} that came with it says so itself." if kind.config_file else ""
    return f"{known}{folder}"
