"""What the server says when it starts, and what it sets in Streamlit."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from streamlit import config
from streamlit.runtime.secrets import secrets_singleton
from streamlit.web.server.server_util import get_url

from dashboard.server.hosts import VARIABLE, is_open, listen_address, own_names

_ALLOWED_HOSTS = "server.allowedHosts"
_EVERYWHERE = {"", "0.0.0.0", "::"}


def urls() -> list[str]:
    """Addresses to open, without asking anybody what this machine's are."""
    address = listen_address()
    hosts = ["localhost", *own_names()[:1]] if address in _EVERYWHERE else [address]
    return [get_url(f"[{host}]" if ":" in host else host) for host in hosts]


def announce() -> None:
    """Log where the dashboard is, and a warning where other machines reach it and nobody has to sign in."""
    logger = logging.getLogger("dashboard")  # whose warnings are shown though nobody has set logging up
    logger.warning("The dashboard is at %s", " and ".join(urls()))
    has_sign_in = secrets_singleton.load_if_toml_exists() and secrets_singleton.get("auth")
    if is_open() and not has_sign_in:
        logger.warning(
            "It listens on %s and asks nobody to sign in: whoever reaches it can use this machine and everything that "
            "was added to it. It answers to IP addresses, to this machine's name and to the names in %s.",
            listen_address() if listen_address() not in _EVERYWHERE else "all interfaces",
            VARIABLE,
        )


@contextmanager
def one_host_check() -> Iterator[None]:
    """Leave the check of Host headers to the middleware, which knows more kinds of names than Streamlit's own check."""
    before = config.get_option(_ALLOWED_HOSTS)

    def pass_all() -> None:
        config.set_option(_ALLOWED_HOSTS, ["*"])

    pass_all()
    disconnect = config.on_config_parsed(pass_all, force_connect=True)  # a file of settings that changes is read again
    try:
        yield
    finally:
        disconnect()
        config.set_option(_ALLOWED_HOSTS, before)
