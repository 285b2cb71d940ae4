"""Messages that reach beyond the sender's session do not arrive."""

import pytest
from starlette.types import Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg

from dashboard.server.messages import MAX_FILES, MessageFilter, refusal
from tests.asynchronous import finished


def files(count: int) -> BackMsg:
    message = BackMsg()
    message.file_urls_request.file_names.extend(["a.png"] * count)
    return message


def operation(name: str) -> BackMsg:
    message = BackMsg()
    getattr(message.backend_operation_request, name).SetInParent()
    return message


DROPPED = [
    BackMsg(clear_cache=True),
    BackMsg(clear_cache=False),
    BackMsg(load_git_info=True),
    BackMsg(set_run_on_save=True),
    operation("install_skills"),
    operation("dismiss_skills_nudge"),
    files(MAX_FILES + 1),
]
PASSED = [
    BackMsg(stop_script=True),
    BackMsg(app_heartbeat=True),
    operation("deferred_file"),
    operation("dataframe_chunk"),
    files(MAX_FILES),
    BackMsg(),
]


@pytest.mark.parametrize("message", DROPPED, ids=str)
def test_what_is_for_developers_or_too_much_is_dropped(message: BackMsg) -> None:
    assert refusal(message.SerializeToString())


@pytest.mark.parametrize("message", PASSED, ids=str)
def test_what_a_page_sends_is_passed_on(message: BackMsg) -> None:
    assert not refusal(message.SerializeToString())


def test_the_application_gets_the_others_in_order() -> None:
    rerun = BackMsg()
    rerun.rerun_script.query_string = "layer=3"
    sent = [DROPPED[0], rerun, DROPPED[1], DROPPED[2], PASSED[0]]
    coming: list[Message] = [{"type": "websocket.connect"}]
    coming += [{"type": "websocket.receive", "bytes": message.SerializeToString()} for message in sent]
    coming += [{"type": "websocket.receive", "text": "x"}, {"type": "websocket.receive", "bytes": b"\xff\xff"}]
    coming += [{"type": "websocket.disconnect", "code": 1001}]
    got: list[Message] = []

    async def application(_scope: Scope, receive: Receive, _send: Send) -> None:
        while not got or got[-1]["type"] != "websocket.disconnect":
            got.append(await receive())

    messages = iter(coming)

    async def receive() -> Message:
        return next(messages)

    finished(MessageFilter(application)({"type": "websocket"}, receive, None))  # type: ignore[arg-type]
    assert got == [coming[0], coming[2], *coming[5:]]
