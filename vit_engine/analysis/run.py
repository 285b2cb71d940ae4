"""A run: one picture in one model, as methods are given it."""

from dataclasses import dataclass

from vit_engine.errors import SpecError
from vit_engine.image import PreparedImage
from vit_engine.trace import AttentionTrace
from vit_engine.weights import LoadedModel


@dataclass(frozen=True, eq=False)
class Run:
    """What attend() left of a picture in a model and, for methods that run the model again, what it was made of.

    Made for a request and dropped after it: a run that is kept would keep its model in memory. Raises SpecError where
    the model or the picture is not the trace's.
    """

    trace: AttentionTrace
    loaded: LoadedModel | None = None  # None: only methods that read the trace can be asked
    prepared: PreparedImage | None = None  # likewise

    def __post_init__(self) -> None:
        if self.loaded is not None and self.loaded.spec != self.trace.spec:
            raise SpecError(f"a run needs the trace's model, {self.trace.spec.name!r}; got {self.loaded.spec.name!r}.")
        if self.prepared is None:
            return
        expected, got = self.trace.image_sha256, self.prepared.sha256
        if (expected, self.trace.grid) != (got, self.prepared.grid):
            raise SpecError(
                f"a run needs the trace's picture, sha256 {expected[:12]}… on {self.trace.grid}; got {got[:12]}… on "
                f"{self.prepared.grid}."
            )

    @classmethod
    def of(cls, traced: "Traced") -> "Run":
        """A run as it is; a trace alone as a run without its model."""
        return traced if isinstance(traced, Run) else cls(traced)


Traced = Run | AttentionTrace
