"""A picture in a link: a sample's name, or "sha256:…" of an uploaded one."""

from collections.abc import Callable
from typing import Any

from dashboard.links.codec import Instead, Reading
from dashboard.samples import find_sample

UPLOAD_PREFIX = "sha256:"


def picture_or(otherwise: str, *, used: str | None = None) -> Callable[[str, Reading], Any]:
    """A picture by name: a sample's, or "sha256:…" of an upload that is held.

    otherwise: what is done where it is an upload that is not, as a sentence. used: what notices call the default.
    """

    def read(text: str, link: Reading) -> Any:
        if not text.startswith(UPLOAD_PREFIX):
            return text if find_sample(text) else Instead(link.default, used)
        if link.available.find_upload(text.removeprefix(UPLOAD_PREFIX)):
            return text
        link.notices.append(
            f"The uploaded picture of this link ({text[: len(UPLOAD_PREFIX) + 12]}…) is no longer held here: "
            f"upload it again. {otherwise}"
        )
        return link.default

    return read
