"""Where the parts of a Vision Transformer are in a module, from where their tensors come from."""

from torch import nn

from vit_engine.errors import CheckpointError
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.reading.listing import listed


class Places:
    """Paths of modules within a module; each is the innermost that holds all tensors of a part."""

    def __init__(self, module: nn.Module, conversion: Conversion) -> None:
        self.module = module
        self._conversion = conversion

    def path(self, beginning: str = "") -> str:
        """Of the part whose tensors' present names begin so: "blocks.0.attn.". CheckpointError where there are none."""
        modules = [key.split(".")[:-1] for key in self._conversion.keys_under(beginning)]
        if not modules:
            raise CheckpointError(
                f"a Vision Transformer's {beginning}* is missing; got {listed(sorted(self._conversion.tensors))}. "
                "Load a plain Vision Transformer."
            )
        first, last = min(modules), max(modules)
        same = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
        return ".".join(first[: min(same, len(last))])

    def part(self, beginning: str = "") -> nn.Module:
        """CheckpointError where the state dict names tensors as no module is called."""
        path = self.path(beginning)
        try:
            return self.module.get_submodule(path)
        except AttributeError as error:
            raise CheckpointError(
                f"its state_dict() has tensors of {path!r}, and no module of it is called so: a hook renames them. "
                "Save the state_dict(), and load that file."
            ) from error

    @property
    def keys(self) -> list[str]:
        """Of all tensors that were taken."""
        return self._conversion.keys_under("")

    @property
    def other_layers(self) -> list[str]:
        """Paths of all layers but the first."""
        return [self.path(f"blocks.{layer}.") for layer in self._conversion.layers()[1:]]
