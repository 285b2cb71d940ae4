"""A browser without a screen: it speaks Streamlit's protocol over a websocket, and keeps what a browser would.

Of what comes it reads only the ids of elements and the values of widgets, so that its own CPU time stays small.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from benchmarks.load.plan import CHARTS, LINKS, PATIENCE, Input
from benchmarks.load.widgets import initial_state

Element = tuple[str, Any]  # its type in the protocol, and what it says
_STICKY = {"slider", "button_group", "selectbox", "number_input"}  # what a browser sends of them stays


@dataclass(frozen=True)
class Answer:
    """Of one input: seconds until its chart came and until the script had ended, and bytes that came until then."""

    chart_seconds: float
    seconds: float
    received_bytes: int


class LoadError(Exception):
    """The server showed an error, ended the connection, or gave no answer in time."""


@dataclass
class Session:
    """A page that is open in a browser. page: its path, empty for Explore."""

    socket: ClientConnection
    url: str
    page: str
    ids: dict[str, str] = field(default_factory=dict)  # of a widget's key
    states: dict[str, WidgetState] = field(default_factory=dict)
    page_hash: str = ""
    query: str = ""
    max_age: int = 2  # runs for which a message that did not come again is kept
    runs: int = 0
    _kept: dict[str, tuple[int, Element]] = field(default_factory=dict)  # by hash: the run that it last came in
    _seen: set[str] = field(default_factory=set)  # ids of the run under way

    async def open(self) -> Answer:
        """The page's first run."""
        return await self._run(())

    async def act(self, step: Input) -> Answer:
        """Send an input and wait for what it changes; LoadError where nothing comes of it."""
        if step.key not in self.ids:
            raise LoadError(f"{step.kind} needs the widget {step.key!r}; the page has {sorted(self.ids)}.")
        state = step.state(self.ids[step.key])
        if state.id in self.states:
            self.states[state.id] = state
            return await self._run(())
        return await self._run((state,))

    async def _run(self, once: tuple[WidgetState, ...]) -> Answer:
        self._seen.clear()
        began = time.perf_counter()
        await self.socket.send(self._message(once))
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._answer(began)
        except TimeoutError as error:
            raise LoadError(f"no answer within {PATIENCE:.0f} s") from error

    def _message(self, once: tuple[WidgetState, ...]) -> bytes:
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_script_hash = self.query, self.page_hash
        state.page_name = "" if self.page_hash else self.page
        state.widget_states.widgets.extend([*self.states.values(), *once])
        state.cached_message_hashes.extend(self._kept)
        state.context_info.url, state.context_info.color_scheme = f"{self.url}/{self.page}", "light"
        return message.SerializeToString()

    async def _answer(self, began: float) -> Answer:
        received, chart = 0, 0.0
        while True:
            data = await self.socket.recv()
            assert isinstance(data, bytes)
            received += len(data)
            message = ForwardMsg.FromString(data)
            if self._take(message) == CHARTS[self.page]:
                chart = time.perf_counter() - began
            if message.WhichOneof("type") == "script_finished" and self._finished(message):
                if not chart:
                    raise LoadError(f"the chart {CHARTS[self.page]!r} must come; got none.")
                return Answer(chart, time.perf_counter() - began, received)

    def _take(self, message: ForwardMsg) -> str:
        """Keep what a browser keeps of a message; returns the key of the element that came, or an empty text."""
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self.max_age = message.new_session.config.max_cached_message_age
        elif kind == "navigation":
            self.page_hash = message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "ref_hash":
            element = self._kept[message.ref_hash][1]
            self._kept[message.ref_hash] = self.runs, element
            return self._take_element(*element)
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            name = message.delta.new_element.WhichOneof("type") or ""
            element = str(name), _light(name, getattr(message.delta.new_element, name, None))
            if message.metadata.cacheable:
                self._kept[message.hash] = self.runs, element
            return self._take_element(*element)
        return ""

    def _take_element(self, kind: str, element: Any) -> str:
        if kind == "exception":
            raise LoadError(f"the page shows an exception: {element}")
        name: str = getattr(element, "id", "")
        if not name:
            return ""
        key = name.split("-", 2)[2] if name.count("-") >= 2 else ""  # $$ID-HASH-KEY
        self.ids[key] = name
        self._seen.add(name)
        if kind in _STICKY and (name not in self.states or element.set_value):
            state = initial_state(kind, element)
            if state is not None:
                self.states[name] = state
        return key

    def _finished(self, message: ForwardMsg) -> bool:
        """Whether a run has ended for good; what a browser then forgets is forgotten."""
        if message.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
            return False
        if message.script_finished != ForwardMsg.FINISHED_SUCCESSFULLY:
            raise LoadError(f"the script ended with {message.script_finished}, not successfully")
        self.runs += 1
        self.states = {name: state for name, state in self.states.items() if name in self._seen}
        self._kept = {key: kept for key, kept in self._kept.items() if self.runs - kept[0] <= self.max_age}
        return True


@dataclass(frozen=True)
class _Named:
    """An element of which only the id counts: the rest, which may be large, is dropped."""

    id: str


def _light(kind: str, element: Any) -> Any:
    if kind in _STICKY:
        return element
    return str(element.message) if kind == "exception" else _Named(getattr(element, "id", ""))


@asynccontextmanager
async def opened(url: str, page: str, link: str | None = None) -> AsyncIterator[Session]:
    """A session whose page has been drawn once. link: the address's parameters, those of the page's plan if None."""
    address = f"ws://{urlsplit(url).netloc}/_stcore/stream"
    async with connect(
        address, subprotocols=[Subprotocol("streamlit")], max_size=None, compression=None, ping_interval=None
    ) as socket:
        session = Session(socket, url, page, query=LINKS[page] if link is None else link)
        await session.open()
        yield session
