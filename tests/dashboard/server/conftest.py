"""Upload guards in front of Streamlit's own route, without a server."""

import pytest
from starlette.applications import Starlette
from streamlit import config
from streamlit import runtime as streamlit_runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.web.server.starlette import starlette_routes

from dashboard.server.uploads import UploadGuard
from dashboard.services import limits
from tests.dashboard.server.receiving import MB, Runtime


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """Pictures of 1 MB, checkpoints of 2 MB; a session holds 3 files and 2 MB of pictures, all hold 7 MB."""
    running = Runtime(MemoryUploadedFileManager("/_stcore/upload_file"))
    read = config.get_option
    monkeypatch.setattr(streamlit_runtime, "get_instance", lambda: running)
    monkeypatch.setattr(starlette_routes, "is_xsrf_enabled", lambda: False)
    monkeypatch.setattr(config, "get_option", lambda name: 2 if name == "server.maxUploadSize" else read(name))
    monkeypatch.setattr(limits, "PICTURE_MEGABYTES", 1)
    monkeypatch.setattr(limits, "SESSION_PICTURE_BYTES", 2 * MB)
    monkeypatch.setattr(limits, "SESSION_FILES", 3)
    monkeypatch.setattr(limits, "RECEIVED_BYTES", 7 * MB)
    return running


@pytest.fixture
def guard(runtime: Runtime) -> UploadGuard:
    """In front of Streamlit's own route."""
    manager = runtime.uploaded_file_mgr
    return UploadGuard(Starlette(routes=starlette_routes.create_upload_routes(runtime, manager, None)))  # type: ignore[arg-type]
