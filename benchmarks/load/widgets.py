"""What a browser knows of widgets: the state that it sends of each, and where it takes a new one from the server."""

import json
from collections.abc import Callable
from typing import Any

from streamlit.proto.Slider_pb2 import Slider
from streamlit.proto.WidgetStates_pb2 import WidgetState

State = Callable[[str], WidgetState]  # made for the id that the server gave the widget


def slider(value: float) -> State:
    """A slider moved to a value."""
    return lambda name: _with(WidgetState(id=name), "double_array_value", [value])


def segment(title: str) -> State:
    """A segment or pill pressed, by what it says."""
    return lambda name: _with(WidgetState(id=name), "string_array_value", [title])


def chart_click(x: float, y: float) -> State:
    """A point of a chart clicked, as the component that listens to it sends it."""
    event = json.dumps([{"event": "point", "value": {"x": x, "y": y}}])
    return lambda name: WidgetState(id=f"$$STREAMLIT_INTERNAL_KEY_{name}__events", json_trigger_value=event)


def initial_state(kind: str, element: Any) -> WidgetState | None:
    """What a browser holds of a widget as the server describes it; None for what it sends no value of.

    kind: the element's type in Streamlit's protocol.
    """
    state = WidgetState(id=element.id)
    if kind == "slider" and element.type == Slider.SELECT_SLIDER:
        chosen = element.raw_value if element.set_value else [element.options[int(at)] for at in element.default]
        return _with(state, "string_array_value", chosen)
    if kind == "slider":
        return _with(state, "double_array_value", element.value if element.set_value else element.default)
    if kind == "button_group":
        chosen = element.raw_values if element.set_value else [element.options[at].content for at in element.default]
        return _with(state, "string_array_value", chosen)
    if kind == "selectbox" and element.options:
        state.string_value = element.raw_value if element.set_value else element.options[element.default]
        return state
    if kind == "number_input":
        state.double_value = element.value if element.set_value else element.default
        return state
    return None


def _with(state: WidgetState, field: str, values: Any) -> WidgetState:
    getattr(state, field).data.extend(values)
    return state
