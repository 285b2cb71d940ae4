"""What is changed on which page, how often, and the bars that it is held to."""

from dataclasses import dataclass, field

from dashboard import keys
from dashboard.keys import of_pane
from dashboard.shell.formatting import titled
from vit_engine.trace.statistics import STATISTICS

PICTURE, PATCH = "astronaut", 8  # a square picture; patches in pixels
PANES = ("demo_vit_p8:5:mean", "demo_vit_p8:5:0", "random_demo_vit_p8:5:mean", "demo_vit_p8:2:mean")
SIZES = (224, 480)  # short sides in pixels: 28×28 and 60×60 patches
REPEATS, QUICK_REPEATS = 6, 2  # of every change; three scales and three ways to show come round twice

SERVER_BARS = {224: 0.3, 480: 0.5}  # seconds, by short side
PAINTED_BAR = 1.5  # seconds
PAYLOAD_BAR = 1e6  # bytes
OPENING_BAR = 1.15  # times what a minimal page of Streamlit's own takes

Point = tuple[float, float]


@dataclass(frozen=True)
class Step:
    """A value to choose: as the widget has it, and as the screen says it; or a point (y, x) to click, as fractions."""

    value: int | str | Point
    label: str = ""


@dataclass(frozen=True)
class Change:
    """One thing that is changed again and again. kind: "slider", "select", "segments" or "click", on `key`."""

    name: str
    kind: str
    key: str
    steps: tuple[Step, ...]

    def step(self, turn: int) -> Step:
        """What is chosen in a turn, counted from 0: never what was chosen just before."""
        return self.steps[turn % len(self.steps)]


@dataclass(frozen=True)
class View:
    """A page at a size, the chart whose painting is waited for, how many heatmaps it has, and what is changed.

    size: short side in pixels. link: the page's own parameters. in_patches: whether the chart's axes are, the
    first one's middle at 0; else they are in pixels.
    """

    page: str
    title: str
    size: int
    chart: str
    heatmaps: int
    changes: tuple[Change, ...]
    link: dict[str, list[str]] = field(default_factory=dict)
    in_patches: bool = False

    def on_axes(self, point: Point) -> Point:
        """A point (y, x) in pixels, on the chart's axes."""
        y, x = point
        return (y / PATCH - 0.5, x / PATCH - 0.5) if self.in_patches else point

    @property
    def patches(self) -> int:
        """Rows, and columns."""
        return self.size // PATCH

    def parameters(self) -> dict[str, str | list[str]]:
        """The whole link."""
        return {"picture": PICTURE, "size": str(self.size), **self.link}

    def __str__(self) -> str:
        return f"{self.title} at {self.patches}×{self.patches}"


def _steps(*values: int | str) -> tuple[Step, ...]:
    return tuple(Step(value, str(value)) for value in values)


LAYERS = _steps(4, 3, 2, 1, 0, 1, 2, 3, 4, 5)  # an arrow key each
HEADS = _steps("0", "1", "2", "max", "min", "mean")
POINTS = tuple(Step(point) for point in ((0.2, 0.4), (0.7, 0.3), (0.5, 0.6), (0.9, 0.1), (0.3, 0.8), (0.6, 0.5)))
SCALES = (Step("own", "Own"), Step("log", "Log"), Step("shared", "Shared"))
SHOWS = (Step("difference", "Difference"), Step("mask", "Mask"), Step("map", "Maps"))
# The page begins with the normalised entropy of the CLS token.
STATISTIC_NAMES = ("distance_px", "cls_to_cls", "cls_maximum", "cls_gini", "cls_top10_mass", "cls_entropy_normalised")


def compare(size: int) -> View:
    """Four panes: a model twice, at random, and at another layer. What a pane has of its own is changed in one."""
    changes = (
        Change("layer", "slider", of_pane(keys.PANE_LAYER, 0), LAYERS),
        Change("head", "select", of_pane(keys.PANE_HEAD, 0), HEADS),
        Change("query, by a click", "click", keys.COMPARISON, POINTS),
        Change("scale", "segments", keys.COMPARE_SCALE, SCALES),
        Change("maps, difference or mask", "segments", keys.COMPARE_SHOW, SHOWS),
    )
    title = f"Compare, {len(PANES)} panes"
    return View("compare", title, size, keys.COMPARISON, len(PANES), changes, {"pane": list(PANES)})


def heads(size: int) -> View:
    """All heads of one model."""
    steps = tuple(Step(name, titled(STATISTICS[name])) for name in STATISTIC_NAMES)
    change = Change("statistic", "select", keys.HEADS_STATISTIC, steps)
    return View("heads", "Heads", size, keys.STATISTIC_MAP, 1, (change,))


def tokens(size: int) -> View:
    """Similarity to a patch of one picture, in one model."""
    changes = (
        Change("query, by a click", "click", keys.TOKEN_MAP, POINTS),
        Change("layer", "slider", keys.TOKEN_LAYER, LAYERS),
    )
    link = {"model": ["demo_vit_p8"], "tokens": ["similarity"]}
    return View("tokens", "Tokens", size, keys.TOKEN_MAP, 2, changes, link, in_patches=True)


def views() -> tuple[View, ...]:
    """Everything that is measured."""
    return *map(compare, SIZES), *map(heads, SIZES), *map(tokens, SIZES)
