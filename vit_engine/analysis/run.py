"""A run: one picture in one model, as methods are given it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid
from vit_engine.image import PreparedImage
from vit_engine.planning.plan import TOKEN
from vit_engine.progress import Progress
from vit_engine.trace import AttentionTrace, Features, features
from vit_engine.trace.differentiate import differentiate
from vit_engine.trace.gradients import Gradients
from vit_engine.trace.targets import Target, check_target, find_target
from vit_engine.weights import LoadedModel


@dataclass(frozen=True, eq=False)
class Run:
    """What attend() left of a picture in a model and, for methods that run the model again, what it was made of.

    Made for a request and dropped after it: a run that is kept would keep its model in memory. Raises SpecError where
    the model, the picture or the features are not the trace's, and where one of them is something else.
    """

    trace: AttentionTrace
    loaded: LoadedModel | None = None  # None: only methods that read the trace can be asked
    prepared: PreparedImage | None = None  # likewise
    features: Features | None = None  # what the tokens of its layers carry; None: made where a method needs them
    gradients: Gradients | None = None  # of a target; None, or of another target: made where a method needs them
    progress: Progress | None = None  # called while a method takes long; what it raises stops the run

    def __post_init__(self) -> None:
        self._check_kinds()
        if self.loaded is not None:
            self._check_model(self.loaded)
        if self.features is not None and (self.features.spec, self.features.facet) != (self.trace.spec, TOKEN):
            got = f"{self.features.facet!r} of {self.features.spec.name!r}"
            raise SpecError(f"a run needs features 'token' of the trace's model, {self.trace.spec.name!r}; got {got}.")
        if self.prepared is not None:
            self._check_picture(self.prepared.sha256, self.prepared.grid)
        if self.features is not None:
            self._check_picture(self.features.image_sha256, self.features.grid)
        if self.gradients is not None:
            if self.gradients.spec != self.trace.spec:
                expected, got = self.trace.spec.name, self.gradients.spec.name
                raise SpecError(f"a run needs gradients in the trace's model, {expected!r}; got {got!r}.")
            self._check_picture(self.gradients.image_sha256, self.gradients.grid)

    def _check_kinds(self) -> None:
        parts = {"trace": AttentionTrace, "loaded": LoadedModel, "prepared": PreparedImage, "features": Features}
        for name, kind in (parts | {"gradients": Gradients}).items():
            part = getattr(self, name)
            if not isinstance(part, kind) and (part is not None or name == "trace"):
                raise SpecError(
                    "a run is Run(trace, loaded, prepared): what attend() gives, the model and the prepared picture; "
                    f"{name} must be of the type {kind.__name__}; got {type(part).__name__}."
                )

    def _check_model(self, loaded: LoadedModel) -> None:
        expected = self.trace.spec.name
        if loaded.spec != self.trace.spec:
            raise SpecError(f"a run needs the trace's model, {expected!r}; got {loaded.spec.name!r}.")
        if loaded.report.random != self.trace.random:
            kinds = {True: "random weights", False: "trained ones"}
            wanted, got = kinds[self.trace.random], kinds[loaded.report.random]
            raise SpecError(f"a run needs the trace's model, {expected!r} with {wanted}; got it with {got}.")

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

    def target(self, asked: Target | int | str | None) -> Target:
        """A target as find_target() takes it; None is that of the run's gradients, or else the likeliest class.

        SpecError for one that does not exist, and for None where there is neither.
        """
        if asked is None and self.gradients is not None:
            return self.gradients.target
        spec, predictions = self.trace.spec, self.trace.predictions
        return check_target(asked, spec, self.trace.grid) or find_target(predictions[0].number, spec)

    def differentiated(self, target: Target, *, backward: bool = True) -> Gradients:
        """The gradients of a target: the run's own, or made of its model and picture, once a target.

        backward: False where readouts suffice. SpecError where they are neither here nor can be made.
        """
        for known in (self.gradients, *self._differentiated.values()):
            if known is not None and known.target == target and (known.layers or not backward):
                return known
        if self.loaded is None or self.prepared is None:
            got = "none" if self.gradients is None else f"those of {self.gradients.target.label!r}"
            raise SpecError(f"this run needs the gradients of the target {target.label!r}; it has {got}.")
        options: dict[str, Any] = {"trace": self.trace, "backward": backward, "progress": self.progress}
        made = differentiate(self.loaded, self.prepared, target=target, **options)[1]
        return self._differentiated.setdefault((target, backward), made)

    @cached_property
    def _differentiated(self) -> dict[tuple[Target, bool], Gradients]:
        return {}

    @classmethod
    def of(cls, traced: "Traced") -> "Run":
        """A run as it is; a trace alone as a run without its model."""
        return traced if isinstance(traced, Run) else cls(traced)


Traced = Run | AttentionTrace
