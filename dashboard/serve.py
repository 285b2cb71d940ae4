"""The dashboard as a server that is warm before its first visitor: `streamlit run dashboard/serve.py`.

The same app as app.py, behind the middleware of dashboard/server, which app.py alone does not have.
"""

import asyncio
import logging
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # Streamlit puts this file's folder there, not the project's
    sys.path.insert(0, str(ROOT))

from dashboard.server.callbacks import uninterrupted_callbacks  # noqa: E402
from dashboard.server.documents import ServerInPage  # noqa: E402
from dashboard.server.guard import HostGuard  # noqa: E402
from dashboard.server.headers import ProtectiveHeaders  # noqa: E402
from dashboard.server.held import Sweeper  # noqa: E402
from dashboard.server.messages import MessageFilter  # noqa: E402
from dashboard.server.start import announce, one_host_check  # noqa: E402
from dashboard.server.uploads import UploadGuard  # noqa: E402

# From the network inwards: what is refused has the headers too.
MIDDLEWARE = (ProtectiveHeaders, HostGuard, UploadGuard, MessageFilter, ServerInPage)


def _warm_up() -> None:
    from dashboard.services import analyses  # noqa: PLC0415  (heavy: not before the server answers)
    from dashboard.services.checkpoints import private_folder  # noqa: PLC0415
    from vit_engine import VitEngineError  # noqa: PLC0415

    private_folder.remove_abandoned()
    try:
        analyses.warm_up()
    except VitEngineError as error:  # a memory budget that is too small, say: every visitor sees the same message
        logging.getLogger(__name__).warning("Nothing is warm: %s", error)


@asynccontextmanager
async def _lifespan(_: st.App) -> AsyncIterator[None]:
    announce()
    threading.Thread(target=_warm_up, name="warm-up", daemon=True).start()
    sweeping = asyncio.create_task(Sweeper().run(), name="sweeper")
    with one_host_check(), uninterrupted_callbacks():
        yield
    sweeping.cancel()
    from dashboard.services.checkpoints.uploads import uploads  # noqa: PLC0415  (by now it is there)

    uploads().close()  # a server that a signal ends runs no other clean-up


app = st.App(
    Path(__file__).with_name("app.py"), lifespan=_lifespan, middleware=[Middleware(each) for each in MIDDLEWARE]
)
