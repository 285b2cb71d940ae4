"""Where the parts of a Vision Transformer are in a module, from where their tensors come from."""

from torch import nn

from vit_engine.weights.conversion import Conversion


class Places:
    """Paths of modules within a module; each is the innermost that holds all tensors of a part."""

    def __init__(self, module: nn.Module, conversion: Conversion) -> None:
        self.module = module
        self._conversion = conversion

    def path(self, beginning: str = "") -> str:
        """Of the part whose tensors' present names begin so: "blocks.0.attn."."""
        modules = [key.split(".")[:-1] for key in self._conversion.keys_under(beginning)]
        first, last = min(modules), max(modules)
        same = next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
        return ".".join(first[: min(same, len(last))])

    def part(self, beginning: str = "") -> nn.Module:
        return self.module.get_submodule(self.path(beginning))

    @property
    def keys(self) -> list[str]:
        """Of all tensors that were taken."""
        return self._conversion.keys_under("")

    @property
    def other_layers(self) -> list[str]:
        """Paths of all layers but the first."""
        return [self.path(f"blocks.{layer}.") for layer in self._conversion.layers()[1:]]
