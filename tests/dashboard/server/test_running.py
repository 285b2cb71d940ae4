"""The running server, by raw HTTP and websockets: who is answered, with what, and what one client can do to others."""

import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

from dashboard import keys
from tests.browser.server import Server, running_dashboard
from tests.dashboard.server.client import BOUNDARY, Session, form, handshake, open_session, request
from tests.dashboard.support import SMALL, noise_png

ROUTES = [
    ("GET", "/"),
    ("GET", "/compare"),
    ("GET", "/favicon.png"),
    ("GET", "/static/nothing.js"),
    ("GET", "/media/nothing.png"),
    ("GET", "/component/nothing/index.html"),
    ("GET", "/_stcore/health"),
    ("HEAD", "/_stcore/health"),
    ("GET", "/_stcore/host-config"),
    ("GET", "/_stcore/metrics"),
    ("GET", "/_stcore/bidi-components/nothing/a.js"),
    ("GET", "/_stcore/agent/openapi.json"),
    ("POST", "/_stcore/agent/interact"),
    ("POST", "/_stcore/agent/mcp"),
    ("PUT", "/_stcore/upload_file/nothing/nothing"),
    ("DELETE", "/_stcore/upload_file/nothing/nothing"),
    ("OPTIONS", "/_stcore/upload_file/nothing/nothing"),
    ("GET", "//nothing"),
    ("GET", "/..%2f..%2fetc/passwd"),
]
LINK = "&".join(f"{name}={value}" for name, value in SMALL.items())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Started elsewhere, with no address named; a tab that is closed is gone at once."""
    folder = tmp_path_factory.mktemp("running")
    environment = {"VIT_DASHBOARD_RECONNECT_SECONDS": "0"}
    with running_dashboard(folder / "log", environment, address=None, folder=folder) as server:
        yield server


def listening(server: Server) -> set[str]:
    """The addresses that a server listens on."""
    return {
        connection.laddr.ip
        for process in psutil.Process().children(recursive=True)
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == urlsplit(server.url).port
    }


def test_it_listens_on_this_machine_alone_wherever_it_is_started(server: Server) -> None:
    port = urlsplit(server.url).port
    assert listening(server) == {"127.0.0.1"}
    assert "asks nobody to sign in" not in server.log.read_text()
    assert f"The dashboard is at http://localhost:{port}" in server.log.read_text()


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_refuses_foreign_hosts_and_protects_its_answers(server: Server, method: str, path: str) -> None:
    own = request(server.url, path, method)
    assert own.headers["content-security-policy"] == "frame-ancestors 'self'"
    assert own.headers["x-frame-options"] == "SAMEORIGIN"
    assert own.headers["x-content-type-options"] == "nosniff"
    assert own.headers["referrer-policy"] == "same-origin"
    foreign = request(server.url, path, method, Host="evil.example")
    assert (foreign.status, foreign.headers["x-frame-options"]) == (403, "SAMEORIGIN")
    assert own.status != 403 or path.startswith("/_stcore"), "the XSRF token is asked for, the agents' API is off"


def test_websockets_refuse_foreign_hosts_and_pages(server: Server) -> None:
    port = urlsplit(server.url).port
    assert handshake(server.url, Host=f"evil.example:{port}", Origin=f"http://evil.example:{port}") == 403
    assert handshake(server.url, Host="192.168.1.5") == 403
    assert handshake(server.url, Origin="http://evil.example") == 403
    assert handshake(server.url, Origin="http://localhost:3000") == 403
    with open_session(server.url, Origin=server.url) as session:
        assert session.id


def test_the_entry_without_the_middleware_is_for_this_machine_alone_too(tmp_path: Path) -> None:
    with running_dashboard(tmp_path / "log", address=None, folder=tmp_path, script="app.py") as plain:
        assert listening(plain) == {"127.0.0.1"}
        assert handshake(plain.url, Host="evil.example", Origin="http://evil.example") == 403
        assert handshake(plain.url, Host="localhost", Origin="http://localhost") == 101


def widget(session: Session, key: str, **value: object) -> WidgetState:
    return WidgetState(id=session.widgets[key], **value)  # type: ignore[arg-type]


def upload_picture(session: Session, data: bytes) -> None:
    """Choose Upload in the sidebar and put a file there, as a browser does."""
    session.run(LINK, widget(session, keys.SOURCE, string_array_value={"data": ["Upload"]}))
    message = BackMsg()
    message.file_urls_request.request_id = "1"
    message.file_urls_request.file_names.append("a.png")
    session.socket.send(message.SerializeToString())
    urls = session.receive(lambda message: message.HasField("file_urls_response")).file_urls_response.file_urls[0]
    assert session.put(urls.file_id, "a.png", data).status == 204
    state = widget(session, keys.UPLOAD)
    state.file_uploader_state_value.uploaded_file_info.add(file_urls=urls, file_id=urls.file_id, name="a.png")
    session.run(LINK, widget(session, keys.SOURCE, string_array_value={"data": ["Upload"]}), state)


def test_one_client_takes_nothing_from_others(server: Server) -> None:
    """Another one sends all that a browser of a developer may: its uploads, models and traces are there afterwards."""
    data = noise_png(11, height=97, width=131)
    link = f"picture=sha256:{hashlib.sha256(data).hexdigest()}&model={SMALL['model']}&size=96"
    with open_session(server.url, LINK) as session, open_session(server.url, LINK) as stranger:
        session.receive(lambda message: message.HasField("script_finished"))
        upload_picture(session, data)
        for message in (BackMsg(clear_cache=True), BackMsg(load_git_info=True), BackMsg(set_run_on_save=True)):
            stranger.socket.send(message.SerializeToString())
        stranger.run(LINK)
        assert "git_info_changed" not in stranger.text
        assert "Uploaded picture" in text_of(server, link)
        assert "Uploaded picture" not in text_of(server, link.replace("sha256:", "sha256:0")), "a link to nothing"


def text_of(server: Server, link: str) -> str:
    """All that a visitor's browser gets when it opens a link."""
    with open_session(server.url, link) as visitor:
        visitor.receive(lambda message: message.HasField("script_finished"))
        return visitor.text


def test_a_message_that_asks_for_a_million_addresses_has_no_answer(server: Server) -> None:
    with open_session(server.url, LINK) as session:
        many = BackMsg()
        many.file_urls_request.file_names.extend([""] * 1_000_000)
        session.socket.send(many.SerializeToString())
        session.run(LINK)
        assert "file_urls_response" not in session.text


def test_uploads_are_bounded_and_end_with_their_tab(server: Server) -> None:
    with open_session(server.url, LINK) as session:
        assert session.put("f", "a.png", noise_png(1)).status == 204
        head = b'--17wide5high\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\n'
        answer = session.put_body("g", head, Content_Length=str(300 << 20))
        assert (answer.status, answer.text) == (413, "413: pictures may be at most 64 MB.\n")
        assert held_bytes(server) > 0
    deadline = time.monotonic() + 60
    while held_bytes(server) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert held_bytes(server) == 0


def test_a_tab_that_lost_its_connection_finds_its_uploads_again(opened: tuple[Server, Path]) -> None:
    server, _ = opened
    with open_session(server.url, LINK) as session:
        assert session.put("f", "a.png", noise_png(1)).status == 204
    with open_session(server.url, LINK, resumed=session.id) as again:
        assert again.id == session.id
        assert held_bytes(server) == len(noise_png(1))


def held_bytes(server: Server) -> int:
    """What Streamlit holds of uploads, from its own metrics."""
    lines = request(server.url, "/_stcore/metrics?families=cache_memory_bytes").text.splitlines()
    return sum(int(line.rsplit(" ", 1)[1]) for line in lines if "UploadedFileManager" in line)


def test_uploads_and_deletions_need_a_session_and_a_token(server: Server) -> None:
    with open_session(server.url, LINK) as session:
        path = f"/_stcore/upload_file/{session.id}/f"
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        assert request(server.url, path, "PUT", body=form("a.png", b"1"), Content_Type=kind).status == 403
        assert request(server.url, path, "DELETE").status == 403
        session.id = "00000000-0000-4000-8000-000000000000"
        assert session.put("f", "a.png", b"1").status == 400


RECORDER = """
import os, sys

def record(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}:
        with open(os.environ["RECORD"], "a") as file:
            file.write(f"{event} {arguments[1:] if event == 'socket.connect' else arguments}\\n")

sys.addaudithook(record)
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server for other machines, behind a proxy and in others' frames, and a record of whom it asks."""
    folder = tmp_path_factory.mktemp("open")
    (folder / "sitecustomize.py").write_text(RECORDER)
    environment = {
        "PYTHONPATH": str(folder),
        "RECORD": str(folder / "record"),
        "VIT_DASHBOARD_ALLOWED_HOSTS": "vit.example.org",
        "VIT_DASHBOARD_FRAME_ANCESTORS": "https://lab.example.org",
    }
    with running_dashboard(folder / "log", environment, address="0.0.0.0", base="/lab/vit") as server:
        yield server, folder / "record"


def test_an_open_server_warns_and_answers_to_addresses_and_listed_names(opened: tuple[Server, Path]) -> None:
    server, _ = opened
    assert "asks nobody to sign in" in server.log.read_text()
    hosts = {"192.168.1.5:8501": 200, "[fe80::1]": 200, "localhost": 200, "vit.example.org": 200, "evil.example": 403}
    assert {host: request(server.url, "/compare", Host=host).status for host in hosts} == hosts
    assert handshake(server.url, Host="192.168.1.5:8501", Origin="http://192.168.1.5:8501") == 101
    assert handshake(server.url, Host="vit.example.org", Origin="https://vit.example.org") == 101
    assert handshake(server.url, Host="127.0.0.1:8501", Origin="https://vit.example.org") == 101
    assert handshake(server.url, Host="vit.example.org", Origin="https://evil.example") == 403
    assert handshake(server.url, Host="evil.example", Origin="https://evil.example") == 403


def test_who_may_frame_it_can_be_set(opened: tuple[Server, Path]) -> None:
    answer = request(opened[0].url, "/compare")
    assert answer.headers["content-security-policy"] == "frame-ancestors https://lab.example.org"
    assert "x-frame-options" not in answer.headers


def test_nobody_else_is_asked_at_the_start_or_by_a_handshake(opened: tuple[Server, Path]) -> None:
    server, record = opened
    handshake(server.url, Host="127.0.0.1:8501", Origin="https://vit.example.org")
    handshake(server.url, Host="127.0.0.1:8501", Origin="https://evil.example")
    asked = record.read_text().splitlines() if record.exists() else []
    assert [line for line in asked if "127.0.0.1" not in line and "0.0.0.0" not in line] == []
