"""The bytes of uploads that Streamlit holds in memory, by session, and when those of a closed tab are let go."""

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from typing import cast

from streamlit import runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec

VARIABLE = "VIT_DASHBOARD_RECONNECT_SECONDS"
RECONNECT = 30.0  # seconds in which a tab that lost its connection finds its session and uploads again
SWEEP = 2.0  # seconds between two looks


def manager() -> MemoryUploadedFileManager:
    """Streamlit's own store of uploads."""
    return cast(MemoryUploadedFileManager, runtime.get_instance().uploaded_file_mgr)


def files_of(session: str) -> Mapping[str, UploadedFileRec]:
    """A session's uploads by their id, the oldest first."""
    return dict(manager().file_storage.get(session, {}))


def total_bytes() -> int:
    """Of all sessions."""
    return sum(len(file.data) for files in list(manager().file_storage.values()) for file in list(files.values()))


class Sweeper:
    """Closes sessions that hold uploads once their tab is gone for a while; Streamlit keeps some uploads for ever."""

    def __init__(self, reconnect: float | None = None) -> None:
        self._reconnect = float(os.environ.get(VARIABLE, RECONNECT)) if reconnect is None else reconnect
        self._gone_since: dict[str, float] = {}

    def sweep(self, now: float) -> None:
        """Look once. now: seconds of a clock that only goes forward."""
        server = runtime.get_instance()
        gone = [session for session in list(manager().file_storage) if not server.is_active_session(session)]
        self._gone_since = {session: self._gone_since.get(session, now) for session in gone}
        for session, since in self._gone_since.items():
            if now - since >= self._reconnect:
                server.close_session(session)
                manager().remove_session_files(session)  # of a session that is no longer known

    async def run(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            await asyncio.sleep(SWEEP)
            try:
                self.sweep(time.monotonic())
            except Exception:  # of one session's end: the others are still looked after
                logging.getLogger(__name__).exception("Uploads of closed tabs could not be let go; tried again soon.")
