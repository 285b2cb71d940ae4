"""The widgets of the page Compare, and what they choose."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st

from dashboard import compare_presets, controls, keys, links, services, state
from dashboard.compare_state import (
    DEFAULT,
    KEEPS,
    LEAST_PANES,
    NAMES,
    Comparing,
    fitted,
    from_link,
    pane_name,
    to_link,
)
from dashboard.keys import of_pane
from vit_engine import ModelSpec, SpecError
from vit_engine.comparison import MAX_PANES, Pane
from vit_engine.methods import METHODS
from vit_engine.trace import REDUCTIONS
from vit_report.look import SCALES, SHOWS

MODEL = state.DEFAULT.model  # in the place of one that is gone
_WIDGETS = {
    "show": keys.COMPARE_SHOW,
    "scale": keys.COMPARE_SCALE,
    "keep": keys.COMPARE_KEEP,
    "statistic": keys.STATISTIC,
    "rows": keys.COMPARE_ROWS,
    "order": keys.COMPARE_ORDER,
    "chart": keys.COMPARE_CHART,
    "reference": keys.REFERENCE,
    "panes": keys.PANES,
    "zoom": keys.ZOOM,
}  # a field of Comparing: its key
_SHOW_TITLES = {"map": "Maps", "difference": "Difference", "mask": "Mask"}
_SCALE_TITLES = {"shared": "Shared", "own": "Own", "log": "Log"}
_QUERY_TITLES = {"shared": "Shared", "cls": "CLS", "own": "Pin here"}


def restore() -> Sequence[str]:
    """Bring the page's part of a link into the widgets; returns what had to be changed in it."""
    if keys.PANES not in st.session_state:
        st.session_state[keys.PANES] = _beginning()
    for field, key in _WIDGETS.items():
        st.session_state.setdefault(key, getattr(DEFAULT, field))
    link = links.fresh("compare", NAMES)
    notices: tuple[str, ...] = ()
    if link is not None:
        problems = [problem for text in link.get("pane", ())[:MAX_PANES] if (problem := _reopen(text))]
        chosen, notices = from_link(link, services.models())
        notices = (*problems, *notices)
        for field, key in _WIDGETS.items():
            st.session_state[key] = getattr(chosen, field)
    return (*notices, *_keep_to(services.models()))


def _beginning() -> tuple[Pane, ...]:
    """What is compared at first: the view of Explore with its model in another patch size, or with its last layer."""
    specs, name = services.models(), st.session_state.get(keys.MODEL, MODEL)
    name = name if name in specs else MODEL  # its file may have been deleted since
    layer, head = st.session_state.get(keys.LAYER), st.session_state.get(keys.HEAD, "mean")
    pane = Pane(name, -1 if layer is None else layer, int(head) if head.isdecimal() else head)
    offered = compare_presets.presets(fitted(pane, specs[name]), specs, services.ready_models())
    found = {preset.name: preset.panes for preset in offered if preset.panes}
    return found.get("patches") or found.get("last") or DEFAULT.panes


def _reopen(text: str) -> str:
    """Read the checkpoint that a pane of a link names, if it names one; returns why that cannot be."""
    try:
        return controls.reopen(Pane.parse(text).model)
    except SpecError:
        return ""  # told as a pane that was left out


def _keep_to(specs: Mapping[str, ModelSpec]) -> list[str]:
    """Models can go while panes show them: their file was deleted, or somebody removed them."""
    panes: tuple[Pane, ...] = st.session_state[keys.PANES]
    gone = sorted({pane.model for pane in panes if pane.model not in specs})
    kept = [pane if pane.model in specs else replace(pane, model=MODEL) for pane in panes]
    st.session_state[keys.PANES] = tuple(fitted(pane, specs[pane.model]) for pane in kept)
    return [f"The model {name!r} is no longer here: showing {MODEL} in its place." for name in gone]


def chosen() -> Comparing:
    """What the widgets say now."""
    return Comparing(**{field: st.session_state[key] for field, key in _WIDGETS.items()})


def own_link() -> dict[str, list[str]]:
    """The page's part of the link."""
    return links.own("compare", NAMES, to_link(chosen()))


def _write(panes: Sequence[Pane], reference: int | None = None) -> None:
    st.session_state[keys.PANES] = tuple(panes)
    last = len(panes) - 1
    st.session_state[keys.REFERENCE] = min(st.session_state[keys.REFERENCE] if reference is None else reference, last)


def presets() -> None:
    """A button a preset; those that cannot be had say why."""
    choice = chosen()
    base = choice.panes[choice.reference]
    with st.container(horizontal=True, key="presets", gap="small"):
        for preset in compare_presets.presets(base, services.models(), services.ready_models()):
            st.button(
                preset.title, key=f"{keys.PRESET}_{preset.name}", disabled=not preset.panes, on_click=_write,
                args=(preset.panes, 0), help=preset.help if preset.panes else preset.why, type="secondary",
            )  # fmt: skip


def toolbar() -> None:
    """How all panes are drawn."""
    with st.container(horizontal=True, key="compare_toolbar", vertical_alignment="bottom", gap="medium"):
        st.segmented_control(
            "Show", SHOWS, key=keys.COMPARE_SHOW, required=True, format_func=_SHOW_TITLES.__getitem__,
            persist_state="session", help="The maps; what each has more or less of than the reference; or the patches "
            "that hold most of the attention.",
        )  # fmt: skip
        st.segmented_control(
            "Scale", SCALES, key=keys.COMPARE_SCALE, required=True, format_func=_SCALE_TITLES.__getitem__,
            persist_state="session", help="Shared: the same colour is the same attention per area in all panes. "
            "Own: each pane uses the whole scale. Log: shared, over three decades.",
        )  # fmt: skip
        _keep_control()
        panes = st.session_state[keys.PANES]
        st.button(
            "Pane", key=keys.ADD_PANE, icon=":material/add:", on_click=_duplicate, args=(len(panes) - 1,),
            disabled=len(panes) >= MAX_PANES, help=f"One more, a copy of the last: at most {MAX_PANES}.",
        )  # fmt: skip


def _keep_control() -> None:
    keep = st.session_state[keys.COMPARE_KEEP]
    st.session_state[keys.COMPARE_KEEP] = keep  # a slider that comes back would begin anew
    with st.container(width=170, key="keep_box"):
        st.select_slider(
            "Mask keeps", KEEPS, key=keys.COMPARE_KEEP, format_func=lambda part: f"{part} %", persist_state="session",
            help="The fewest patches that hold this share of a map's attention: the mask, and what IoU compares.",
        )  # fmt: skip


def pane_card(number: int, specs: Mapping[str, ModelSpec]) -> None:
    """The controls of one pane."""
    pane: Pane = st.session_state[keys.PANES][number]
    with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
        reference = number == st.session_state[keys.REFERENCE]
        name = pane_name(number)
        mark = f":green-badge[:material/flag: {name}]" if reference else f"**{name}**"
        st.markdown(mark, width="content", help="The others are compared with this one." if reference else None)
        _model_control(number, pane, specs)
        _menu(number, pane)
    spec = specs[pane.model]
    with st.container(horizontal=True, gap="small", wrap=False, key=f"pane_row_{number}"):
        _layer_control(number, pane, spec)
        _head_control(number, pane, spec)


def _model_control(number: int, pane: Pane, specs: Mapping[str, ModelSpec]) -> None:
    key = of_pane(keys.PANE_MODEL, number)
    st.session_state[key] = pane.model
    st.selectbox(
        f"Model of pane {number}", list(specs), key=key, format_func=lambda name: specs[name].title,
        label_visibility="collapsed", on_change=_change, args=(number, "model", keys.PANE_MODEL),
    )  # fmt: skip


def _layer_control(number: int, pane: Pane, spec: ModelSpec) -> None:
    key = of_pane(keys.PANE_LAYER, number)
    st.session_state[key] = pane.layer
    st.slider(
        "Layer", 0, max(spec.depth - 1, 1), key=key, disabled=spec.depth == 1,
        on_change=_change, args=(number, "layer", keys.PANE_LAYER),
    )  # fmt: skip


def _head_control(number: int, pane: Pane, spec: ModelSpec) -> None:
    key = of_pane(keys.PANE_HEAD, number)
    st.session_state[key] = str(pane.head)
    options = [*REDUCTIONS, *map(str, range(spec.heads))]
    st.selectbox("Head", options, key=key, width=100, on_change=_change, args=(number, "head", keys.PANE_HEAD))


def _change(number: int, field: str, key: str) -> None:
    """Take a widget's value into its pane."""
    value = st.session_state[of_pane(key, number)]
    if field == "head":
        value = int(value) if value.isdecimal() else value
    panes = list(st.session_state[keys.PANES])
    panes[number] = fitted(replace(panes[number], **{field: value}), services.models()[panes[number].model])
    if field == "model":  # the layer stays the last one, where it was
        old = services.models()[st.session_state[keys.PANES][number].model]
        last = st.session_state[keys.PANES][number].layer == old.depth - 1
        spec = services.models()[value]
        panes[number] = fitted(replace(panes[number], layer=-1) if last else panes[number], spec)
    _write(panes)


def _menu(number: int, pane: Pane) -> None:
    """What is done with a pane, and what it seldom changes."""
    count = len(st.session_state[keys.PANES])
    with st.popover(":material/more_horiz:", type="tertiary", help="Query, method, order", key=f"pane_menu_{number}"):
        _query_control(number, pane)
        key = of_pane(keys.PANE_METHOD, number)
        st.session_state[key] = pane.method
        st.selectbox(
            "Method", [method.name for method in METHODS], key=key, format_func=_method_title,
            on_change=_change, args=(number, "method", keys.PANE_METHOD),
        )  # fmt: skip
        for title, key, icon, able, act in (
            ("Make it the reference", keys.PANE_REFERENCE, "flag", number != st.session_state[keys.REFERENCE], _refer),
            ("Duplicate", keys.PANE_DUPLICATE, "content_copy", count < MAX_PANES, _duplicate),
            ("Move left", keys.PANE_LEFT, "arrow_back", number > 0, _left),
            ("Move right", keys.PANE_RIGHT, "arrow_forward", number < count - 1, _right),
            ("Remove", keys.PANE_REMOVE, "delete", count > LEAST_PANES, _remove),
        ):
            st.button(
                title, key=of_pane(key, number), icon=f":material/{icon}:", disabled=not able, on_click=act,
                args=(number,), width="stretch",
            )  # fmt: skip


def _method_title(name: str) -> str:
    return next(method.title for method in METHODS if method.name == name)


def _query_control(number: int, pane: Pane) -> None:
    key = of_pane(keys.PANE_QUERY, number)
    st.session_state[key] = pane.query if isinstance(pane.query, str) else "own"
    st.segmented_control(
        "Query", tuple(_QUERY_TITLES), key=key, required=True, format_func=_QUERY_TITLES.__getitem__,
        on_change=_change_query, args=(number,),
        help="Shared: a click in any pane moves it. CLS: always the CLS token. Pin here: stays at the point that is "
        "shared now.",
    )  # fmt: skip


def _change_query(number: int) -> None:
    query = st.session_state[of_pane(keys.PANE_QUERY, number)]
    if query == "own":
        query = st.session_state.get(keys.QUERY) or "cls"
    panes = list(st.session_state[keys.PANES])
    panes[number] = replace(panes[number], query=query)
    _write(panes)


def _refer(number: int) -> None:
    st.session_state[keys.REFERENCE] = number


def _duplicate(number: int) -> None:
    panes, reference = list(st.session_state[keys.PANES]), st.session_state[keys.REFERENCE]
    panes.insert(number + 1, panes[number])
    _write(panes, reference + (reference > number))


def _remove(number: int) -> None:
    panes, reference = list(st.session_state[keys.PANES]), st.session_state[keys.REFERENCE]
    del panes[number]
    _write(panes, reference - 1 if reference > number else 0 if reference == number else reference)


def _left(number: int) -> None:
    _swap(number, number - 1)


def _right(number: int) -> None:
    _swap(number, number + 1)


def _swap(first: int, second: int) -> None:
    panes, reference = list(st.session_state[keys.PANES]), st.session_state[keys.REFERENCE]
    panes[first], panes[second] = panes[second], panes[first]
    _write(panes, {first: second, second: first}.get(reference, reference))


def query_line() -> None:
    """Whose attention all panes show, and the ways back to the CLS token and to the whole picture."""
    query = st.session_state.get(keys.QUERY)
    with st.container(horizontal=True, vertical_alignment="center", key="compare_query", width="content"):
        if query is None:
            st.markdown("Query: **CLS token** · :small[click a patch to ask all panes where *it* attends]")
        else:
            st.markdown(f"Query: **point {query[0]:.0%} down, {query[1]:.0%} across**")
            _back("Back to CLS", keys.RESET_QUERY, keys.QUERY, "undo")
        if st.session_state[keys.ZOOM] is not None:
            _back("Whole picture", keys.RESET_ZOOM, keys.ZOOM, "zoom_out_map")
        else:
            st.markdown(":small[drag a box to zoom all panes]")


def _back(title: str, key: str, what: str, icon: str) -> None:
    st.button(title, key=key, on_click=_reset, args=(what,), type="tertiary", icon=f":material/{icon}:")


def _reset(key: str) -> None:
    st.session_state[key] = None
