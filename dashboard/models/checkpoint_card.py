"""What a checkpoint is, the question for its heads, and the buttons that make it a model."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import streamlit as st

from dashboard import keys
from dashboard.models import load_report, model_facts
from dashboard.models.details import open_button
from dashboard.services import catalogue
from dashboard.services.checkpoints import series, user_models
from dashboard.services.checkpoints.names import with_heads, with_part
from dashboard.services.checkpoints.series import Series
from dashboard.services.checkpoints.user_models import Inspected
from dashboard.shell.controls import button, selectbox
from dashboard.shell.formatting import plain, progress_bar, sentence
from vit_engine import VitEngineError
from vit_engine.analysis.comparison import FILE_PREFIX
from vit_engine.progress import Progress

_ASKED = "_heads_asked"  # session state: the checkpoint that the heads were chosen for
_DONE = "_checkpoint_done"  # session state: (checkpoint, models that the last button added, what came of it)


def show(name: str, listed: Sequence[str] = (), *, add: bool = False) -> None:
    """The card of a checkpoint, by its name without heads.

    listed: names in the server's folder, its own among them. add: whether it becomes a model without a further press.
    """
    _forget_others(name)
    found = _inspect(name)
    if found is None:
        return
    with st.container(border=True, key="checkpoint_card"):
        st.markdown(f"##### {plain(found.display_name)} :blue-badge[{plain(found.report.format)}]")
        found = _ask(found)
        if found is None:
            return
        _buttons(found, listed, add=add and found.spec is not None)
        checkpoint, added, words = st.session_state.get(_DONE, ("", (), ""))
        if checkpoint == name and (not added or catalogue.models().keys() & set(added)):
            st.success(words, icon=":material/check:")
        model_facts.show(model_facts.of_spec(found.architecture, heads=found.spec is not None))
        with st.expander("What was done with every tensor", icon=":material/fact_check:", expanded=True):
            load_report.show(
                found.report, found.architecture, key=keys.INSPECTED_REPORT, download_key=keys.DOWNLOAD_INSPECTED
            )


def _ask(found: Inspected) -> Inspected | None:
    """What nothing says: which part of the file, how many heads. None, with the reason shown, for what is no model."""
    part = _ask_part(found)
    chosen = found if part == found.report.part else _inspect(with_part(found.name, part))
    if chosen is None or chosen.spec is not None:
        return chosen
    heads = _ask_heads(chosen)
    return chosen if heads is None else _inspect(with_heads(chosen.name, heads))


def _ask_part(found: Inspected) -> str:
    """The part of the file; the likeliest to begin with."""
    if len(found.parts) < 2:
        return found.report.part
    if st.session_state.get(keys.CHECKPOINT_PART) not in found.parts:
        st.session_state[keys.CHECKPOINT_PART] = found.report.part
    return selectbox(
        "Part of the file",
        found.parts,
        key=keys.CHECKPOINT_PART,
        format_func=lambda part: part or "the file itself",
        help="What a training run saved side by side.",
    )


def _forget_others(name: str) -> None:
    """Heads are chosen for one checkpoint, and so is its part; never taken over by the next."""
    if st.session_state.get(_ASKED) != name:
        st.session_state[_ASKED] = name
        st.session_state[keys.CHECKPOINT_HEADS] = st.session_state[keys.CHECKPOINT_PART] = None
        st.session_state.pop(_DONE, None)


def _inspect(name: str) -> Inspected | None:
    """What a checkpoint is; None, with the reason shown, where it is none."""
    with _reporting(catalogue.screen_names(name)) as progress:
        return user_models.inspect(name, progress)
    return None


@contextmanager
def _reporting(names: Iterable[str]) -> Iterator[Progress]:
    """What shows the progress of work on files of these names, and the reason where it fails."""
    try:
        with progress_bar() as progress:
            yield progress
    except VitEngineError as error:
        st.error(sentence(str(error), names), icon=":material/report:")


def _ask_heads(found: Inspected) -> int | None:
    st.info(
        f"How many heads does each layer have? Nothing in the file says it, and every map would be wrong with another "
        f"number. {plain(found.advice)}",
        icon=":material/help:",
    )
    return selectbox(
        "Heads",
        found.choices,
        key=keys.CHECKPOINT_HEADS,
        index=None,
        placeholder="Choose the number of heads",
        format_func=lambda heads: f"{heads} head{'s'[: heads != 1]}",
    )


def _buttons(found: Inspected, listed: Sequence[str], *, add: bool) -> None:
    runs = series.find_series(listed) if found.name.startswith(FILE_PREFIX) else ()
    with st.container(horizontal=True):
        if user_models.is_added(found):
            open_button(found.name, key=keys.OPEN_CHECKPOINT)
        elif _add_button(found) or add:
            with _reporting([found.display_name]) as progress:
                added = user_models.add(found.name, progress)
                words = f"Added as **{plain(added.title)}**: choose it in the sidebar, in every session of this server."
                _tell(words, [added.name])
        for run in runs:
            if found.display_name in run.names:
                _offer_series(run, found)


def _add_button(found: Inspected) -> bool:
    looks: dict[str, Any] = {"disabled": found.spec is None, "type": "primary", "icon": ":material/add:"}
    return button("Add to models", key=keys.ADD_CHECKPOINT, made_for=found.name, **looks)


def _offer_series(run: Series, found: Inspected) -> None:
    names = catalogue.series_models(run, found.name)
    if catalogue.models().keys() >= set(names):
        return
    count = len(names)
    label = f"Add all {count} of {run.run}" if count == len(run.names) else f"Add {count} of {len(run.names)}"
    if not button(
        plain(label),
        key=keys.ADD_SERIES,
        made_for=found.name,
        disabled=found.spec is None,
        icon=":material/timeline:",
        help=f"Checkpoints {run.numbers[0]} to {run.numbers[-1]} of one run: a slider steps through them.",
    ):
        return
    with _reporting(run.names) as progress:
        added = catalogue.add_series(run, found.name, progress)
        left = "  \n".join(f"Left out: {plain(name)}, {plain(why)}" for name, why in added.left_out)
        _tell(f"Added {len(added.names)} models of **{plain(run.run)}**.  \n{left}".rstrip(), added.names)


def _tell(words: str, added: Sequence[str]) -> None:
    """Redraw the page with the current models, and say what was done, as long as one that was added is there."""
    st.session_state[_DONE] = (st.session_state[_ASKED], tuple(added), words)
    st.rerun()
