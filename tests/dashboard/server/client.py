"""A client of the running dashboard without a browser: raw HTTP, and Streamlit's own messages over a websocket."""

import http.client
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

TIMEOUT = 60.0  # seconds
BOUNDARY = "17wide5high"


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers with names in lower case, and text."""

    status: int
    headers: Mapping[str, str]
    text: str


def request(url: str, path: str, method: str = "GET", *, body: object = None, **headers: str) -> Answer:
    """One request; a header's name is written with underscores. body: bytes, or pieces, which go without a length."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, urlsplit(url).path + path, body=body, headers=named)  # type: ignore[arg-type]
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
        return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, text)
    finally:
        connection.close()


def form(name: str, data: bytes) -> bytes:
    """A file as browsers send it."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n\r\n'
    return head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()


@dataclass
class Session:
    """A session of the dashboard, as a browser's tab has one."""

    url: str
    socket: ClientConnection
    id: str = ""
    widgets: dict[str, str] = field(default_factory=dict)  # key -> Streamlit's own id
    text: str = ""  # of all messages of the last run

    def send(self, **parts: object) -> None:
        self.socket.send(BackMsg(**parts).SerializeToString())  # type: ignore[arg-type]

    def receive(self, wanted: Callable[[ForwardMsg], bool]) -> ForwardMsg:
        """Take messages until one is wanted."""
        while True:
            message = ForwardMsg()
            message.ParseFromString(self.socket.recv(timeout=TIMEOUT))  # type: ignore[arg-type]
            self._note(message)
            if wanted(message):
                return message

    def _note(self, message: ForwardMsg) -> None:
        if message.HasField("new_session"):
            self.id = message.new_session.initialize.session_id
            self.text = ""
        element = message.delta.new_element
        if kind := element.WhichOneof("type"):
            widget = getattr(getattr(element, kind), "id", "")
            if "-" in widget:
                self.widgets[widget.rsplit("-", 1)[1]] = widget
        self.text += str(message)

    def run(self, query: str = "", *states: WidgetState) -> None:
        """Run the app once, to its end."""
        self.begin(query, *states)
        self.receive(lambda message: message.HasField("script_finished"))

    def begin(self, query: str = "", *states: WidgetState) -> None:
        message = BackMsg()
        message.rerun_script.query_string = query
        message.rerun_script.widget_states.widgets.extend(states)
        self.socket.send(message.SerializeToString())
        self.receive(lambda message: message.HasField("new_session"))

    def put(self, file: str, name: str, data: bytes) -> Answer:
        """Upload a file under an id of its own."""
        return self.put_body(file, form(name, data))

    def put_body(self, file: str, body: object, **headers: str) -> Answer:
        cookie = request(self.url, "/_stcore/health").headers["set-cookie"].partition(";")[0]
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        return request(
            self.url,
            f"/_stcore/upload_file/{self.id}/{file}",
            "PUT",
            body=body,
            Content_Type=kind,
            Cookie=cookie,
            X_Xsrftoken=cookie.partition("=")[2],
            **headers,
        )


@contextmanager
def open_session(url: str, query: str = "", *, resumed: str = "", **headers: str) -> Iterator[Session]:
    """A session, whose first run has begun. resumed: the id of the one to go on with."""
    address = f"ws://{urlsplit(url).netloc}{urlsplit(url).path}/_stcore/stream"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    protocols = [Subprotocol(name) for name in ("streamlit", "token", resumed) if name]
    with connect(
        address, additional_headers=named, max_size=None, proxy=None, close_timeout=0.1, subprotocols=protocols
    ) as socket:
        session = Session(url, socket)
        session.begin(query)
        yield session


def handshake(url: str, **headers: str) -> int:
    """The status of a websocket's handshake, which need not name this server's host."""
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    return request(url, "/_stcore/stream", **upgrade, Sec_WebSocket_Key="MDEyMzQ1Njc4OWFiY2RlZg==", **headers).status
