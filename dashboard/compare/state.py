"""What is chosen on the page Compare, and its part of the link.

    ?pane=demo_vit_p8:5:mean&pane=demo_vit_p16:5:mean&show=difference

A pane is written as on the command line: MODEL:LAYER:HEAD, and perhaps :METHOD[OPTION=VALUE;target=TARGET] and :QUERY.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from dashboard import keys
from dashboard.links import targets
from dashboard.links.codec import Instead, Reading, fractions, nearest, option, parameter
from dashboard.links.options import fitting
from dashboard.links.worth import STEPS
from dashboard.links.zoom import Zoom, read_zoom
from vit_engine import ModelSpec, SpecError, find_method
from vit_engine.analysis.comparison import MAX_PANES, Pane, letter
from vit_engine.analysis.methods import Option, Value
from vit_engine.report.style import SCALES, SHOWS
from vit_engine.trace.statistics import STATISTICS

LEAST_PANES = 2
KEEPS = tuple(range(5, 100, 5))  # per cent of the mass
ROWS = ("layer", "all")
ORDERS = ("head", "difference")
CHARTS = ("box", "violin")
DEFAULT_PANES = (Pane("demo_vit_p8", 5), Pane("demo_vit_p16", 5))


def fitted(pane: Pane, spec: ModelSpec) -> Pane:
    """A pane with a layer, counted from 0, a head, options and a target that its model has."""
    layer = pane.layer % spec.depth if -spec.depth <= pane.layer < 0 else min(max(pane.layer, 0), spec.depth - 1)
    head = pane.head if isinstance(pane.head, str) or pane.head < spec.heads else spec.heads - 1
    options = fitting(pane.chosen, find_method(pane.method), spec)
    target = pane.target if targets.fits(pane.target, spec) else targets.AUTOMATIC
    return replace(pane, layer=layer, head=head, options=options, target=target)


def with_method(pane: Pane, name: str) -> Pane:
    """The pane by another method, with those of its options, and its target, that this one has too."""
    method = find_method(name)
    known = {option.name: option for option in method.options}
    kept = tuple((option, value) for option, value in pane.options if option in known and _can_be(known[option], value))
    target = pane.target if "target" in method.depends_on else targets.AUTOMATIC
    return replace(pane, method=name, options=kept, target=target)


def _can_be(option: Option, value: Value) -> bool:
    try:
        option.check(value, None)
    except SpecError:
        return False
    return True


def _panes(texts: Sequence[str], link: Reading) -> Any:
    if len(texts) > MAX_PANES:
        link.notices.append(f"The link has {len(texts)} panes; showing the first {MAX_PANES}.")
    read = [(text, _pane(text, link)) for text in texts[:MAX_PANES]]
    link.tell_problems()
    found = [fit for text, pane in read if (fit := _fitted_or_told(text, pane, link))]
    missing = max(LEAST_PANES - len(found), 0)
    if missing:
        link.notices.append(f"A comparison needs at least {LEAST_PANES} panes: default panes were added.")
    others = [pane for pane in DEFAULT_PANES if pane not in found]
    return (*found, *others[:missing])


def _fitted_or_told(text: str, pane: Pane | str, link: Reading) -> Pane | None:
    if isinstance(pane, str):
        link.notices.append(pane)
        return None
    spec = link.find_model(pane.model)
    assert spec is not None, pane
    target = pane.target and targets.read_target(
        pane.target, replace(link, values={**link.values, "model": pane.model})
    )
    pane = pane if isinstance(target, Instead) else replace(pane, target=target)  # a class by its number
    fit = fitted(pane, spec)
    fit = replace(fit, target=targets.AUTOMATIC) if isinstance(target, Instead) else fit
    if replace(fit, layer=pane.layer) != pane or not -spec.depth <= pane.layer < spec.depth:
        link.tell("the pane", text, fit)
    return fit


def _pane(text: str, link: Reading) -> Pane | str:
    try:
        pane = Pane.parse(text)
    except SpecError as error:
        return f"A pane of the link was left out: {link.shorten(str(error))}"
    if link.find_model(pane.model) is None:
        return f"The link asks for the model {link.shorten(pane.model)!r}, which is not here: its pane was left out."
    return pane


def _reference(text: str, link: Reading) -> Any:
    """The link's letters are those of its own panes, also of those that are left out."""
    texts = link.link.get("pane", tuple(map(str, DEFAULT_PANES)))[:MAX_PANES]
    letters = [letter(number) for number, pane in enumerate(texts) if isinstance(_pane(pane, link), Pane)]
    return letters.index(text) if text in letters else Instead(words="A")


def _as_texts(panes: Sequence[Pane]) -> list[str]:
    return [str(pane) for pane in panes]


@dataclass(frozen=True)
class Comparing:
    """Everything that decides what Compare draws, beside the sidebar."""

    LONGEST: ClassVar = 160  # characters of a value in a notice: a pane's text has up to 100

    show: str = parameter("map", key=keys.COMPARE_SHOW, read=option(SHOWS))
    scale: str = parameter("shared", key=keys.COMPARE_SCALE, read=option(SCALES), name="pane_scale")
    # A column of vit_engine.trace.statistics.
    statistic: str = parameter("cls_entropy_normalised", key=keys.STATISTIC, read=option(STATISTICS))
    rows: str = parameter("layer", key=keys.COMPARE_ROWS, read=option(ROWS))  # heads of each pane's layer, or of all
    order: str = parameter("head", key=keys.COMPARE_ORDER, read=option(ORDERS))  # or the largest differences first
    chart: str = parameter("box", key=keys.COMPARE_CHART, read=option(CHARTS))
    panes: tuple[Pane, ...] = parameter(
        DEFAULT_PANES, key=keys.PANES, read=_panes, write=_as_texts, name="pane", several=True, always=True
    )
    # The number of the pane that the others are compared with.
    reference: int = parameter(0, key=keys.REFERENCE, read=_reference, write=letter)
    keep: int = parameter(60, key=keys.COMPARE_KEEP, read=nearest(KEEPS))  # per cent of the mass in masks
    # Of the curves of faithfulness, each of so many equal shares of the patches.
    steps: str = parameter(STEPS[0], key=keys.COMPARE_STEPS, read=option(STEPS), name="pane_steps")
    # The part that is shown; None for all.
    zoom: Zoom | None = parameter(None, key=keys.ZOOM, read=read_zoom, write=fractions)


DEFAULT = Comparing()
