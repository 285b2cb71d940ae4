"""Who does what, how often: seeded, so that every run and every checkout gets the same inputs."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.load.widgets import State, chart_click, segment, slider
from dashboard import keys
from dashboard.keys import events_of, of_pane

SESSIONS = (1, 4, 16)  # at once
BUSIEST = SESSIONS[-1]
SECONDS, QUICK_SECONDS = 15.0, 5.0  # of every number of sessions but BUSIEST, and of every checkout
BUSIEST_SECONDS = 300.0  # two thirds of it come after all caches have filled: what grows then is a leak
THINK = (1.0, 2.0)  # seconds between the end of a run and the next input: evenly spread
ROUNDS = 3  # of the CPU time of each kind of interaction
REPEATS, QUICK_REPEATS = 10, 4  # of a kind in a round
PATIENCE = 60.0  # seconds until an input without an answer is an error

EXPLORE_BAR, COMPARE_BAR = 0.12, 0.2  # CPU seconds of the server, an interaction
MEDIAN_BAR, TAIL_BAR = 1.0, 3.0  # seconds at BUSIEST sessions: the median, and the 95th percentile
BEHIND_BAR, BEHIND_SECONDS_BAR = 3.0, 3.0  # a small analysis behind a heavy one: times what it takes by itself; seconds
# kB of memory an interaction, while BUSIEST sessions go on. One that kept its figure would add 170 kB or more: that is
# what the smallest takes as it is sent.
GROWTH_BAR = 40.0
GROWTH_INTERACTIONS = 100  # with fewer, no growth is given

PATCHES = (28, 42)  # rows and columns of the default picture in the default model
FRAME = (224.0, 336.0)  # its height and width at the default short side
LAYERS, HEADS, PANES = 6, 4, 4
LINKS = {
    "": "",
    "compare": "&".join(
        f"pane={pane}"
        for pane in ("demo_vit_p8:5:mean", "demo_vit_p8:5:0", "random_demo_vit_p8:5:mean", "demo_vit_p8:2:mean")
    ),
}
# Analyses that nobody has asked for yet: a heavy one, and small ones of other pictures of about the same size. The
# first photograph of a process takes the import of scikit-image, which is not what is measured.
HEAVY_LINK = "model=random_vit_tiny_p8&size=480&picture=coffee"
FIRST_LINK = "picture=astronaut"
SMALL_LINKS = ("picture=cat", "picture=rocket")
HEAD_START = 2.0  # seconds, of the heavy one
CHARTS = {"": keys.OVERLAY, "compare": keys.COMPARISON}  # whose coming is waited for
TITLES = {"": "Explore", "compare": f"Compare, {PANES} panes"}


@dataclass(frozen=True)
class Kind:
    """One thing that people do on a page again and again. page: its path, empty for Explore."""

    page: str
    name: str

    def __str__(self) -> str:
        return f"{TITLES[self.page]}: {self.name}"


KINDS = tuple(
    Kind(page, name)
    for page, names in (("", ("layer", "head", "query")), ("compare", ("layer", "show", "query")))
    for name in names
)


@dataclass(frozen=True)
class Input:
    """A widget's key and the new state that a browser would send of it."""

    kind: Kind
    key: str
    state: State


def page_of(session: int) -> str:
    """Every other session compares."""
    return "compare" if session % 2 else ""


def inputs(session: int) -> Iterator[Input]:
    """What a session does on its page, without an end: never what is chosen already."""
    chance = random.Random(session)
    kinds = [kind for kind in KINDS if kind.page == page_of(session)]
    makers = {kind: turns(kind, chance) for kind in kinds}
    while True:
        yield next(makers[chance.choice(kinds)])


def thinks(session: int) -> Iterator[float]:
    """How long it waits before each."""
    chance = random.Random(f"thinks {session}")
    while True:
        yield chance.uniform(*THINK)


def turns(kind: Kind, chance: random.Random) -> Iterator[Input]:
    """The same thing again and again, each time with another value than before."""
    make = {"layer": _layers, "head": _heads, "show": _shows, "query": _queries}[kind.name]
    for key, state in make(kind, chance):
        yield Input(kind, key, state)


def _layers(kind: Kind, chance: random.Random) -> Iterator[tuple[str, State]]:
    before = [LAYERS - 1] * PANES
    while True:
        pane = chance.randrange(PANES if kind.page else 1)
        before[pane] = chance.choice([layer for layer in range(LAYERS) if layer != before[pane]])
        yield of_pane(keys.PANE_LAYER, pane) if kind.page else keys.LAYER, slider(before[pane])


def _heads(_: Kind, chance: random.Random) -> Iterator[tuple[str, State]]:
    before = "mean"
    while True:
        before = chance.choice([head for head in ("mean", "max", *map(str, range(HEADS))) if head != before])
        yield keys.HEAD, segment(before)


def _shows(_: Kind, chance: random.Random) -> Iterator[tuple[str, State]]:
    before = "Maps"
    while True:
        before = chance.choice([title for title in ("Maps", "Difference", "Mask") if title != before])
        yield keys.COMPARE_SHOW, segment(before)


def _queries(kind: Kind, chance: random.Random) -> Iterator[tuple[str, State]]:
    before = (-1, -1)
    while True:
        place = chance.randrange(PATCHES[0]), chance.randrange(PATCHES[1])
        if place != before:
            before = place
            yield _click(kind, *place)


def _click(kind: Kind, row: int, col: int) -> tuple[str, State]:
    if not kind.page:
        return events_of(keys.OVERLAY), chart_click(x=col, y=row)
    y, x = ((place + 0.5) * side / count for place, side, count in zip((row, col), FRAME, PATCHES, strict=True))
    return keys.COMPARISON_EVENTS, chart_click(x=x, y=y)
