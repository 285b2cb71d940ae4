"""A run: one picture in one model, as methods are given it."""

from dataclasses import dataclass
from functools import cached_property

from vit_engine.errors import SpecError
from vit_engine.image import PreparedImage
from vit_engine.planning.plan import TOKEN
from vit_engine.spec import TokenGrid
from vit_engine.trace import AttentionTrace, Features, features
from vit_engine.weights import LoadedModel


@dataclass(frozen=True, eq=False)
class Run:
    """What attend() left of a picture in a model and, for methods that run the model again, what it was made of.

    Made for a request and dropped after it: a run that is kept would keep its model in memory. Raises SpecError where
    the model, the picture or the features are not the trace's.
    """

    trace: AttentionTrace
    loaded: LoadedModel | None = None  # None: only methods that read the trace can be asked
    prepared: PreparedImage | None = None  # likewise
    features: Features | None = None  # what the tokens of its layers carry; None: made where a method needs them

    def __post_init__(self) -> None:
        if self.loaded is not None and self.loaded.spec != self.trace.spec:
            raise SpecError(f"a run needs the trace's model, {self.trace.spec.name!r}; got {self.loaded.spec.name!r}.")
        if self.features is not None and (self.features.spec, self.features.facet) != (self.trace.spec, TOKEN):
            got = f"{self.features.facet!r} of {self.features.spec.name!r}"
            raise SpecError(f"a run needs features 'token' of the trace's model, {self.trace.spec.name!r}; got {got}.")
        if self.prepared is not None:
            self._check_picture(self.prepared.sha256, self.prepared.grid)
        if self.features is not None:
            self._check_picture(self.features.image_sha256, self.features.grid)

    def _check_picture(self, sha256: str, grid: TokenGrid) -> None:
        expected = self.trace.image_sha256
        if (expected, self.trace.grid) != (sha256, grid):
            raise SpecError(
                f"a run needs the trace's picture, sha256 {expected[:12]}… on {self.trace.grid}; got {sha256[:12]}… on "
                f"{grid}."
            )

    @cached_property
    def tokens(self) -> Features | None:
        """The features, run once where there are none and there is a model; None without one."""
        if self.features is not None or self.loaded is None or self.prepared is None:
            return self.features
        return features(self.loaded, self.prepared, layers=tuple(self.trace.layers))

    @classmethod
    def of(cls, traced: "Traced") -> "Run":
        """A run as it is; a trace alone as a run without its model."""
        return traced if isinstance(traced, Run) else cls(traced)


Traced = Run | AttentionTrace
