"""Processes that download a file, for tests of what several of them do."""

import subprocess
import sys
from pathlib import Path

import vit_engine

# Downloads do not need PyTorch, which takes seconds to import: the packages are there without what they import.
_CODE = """
import sys, types
from pathlib import Path
root, url, target = sys.argv[1:]
for name, folder in (("vit_engine", root), ("vit_engine.weights", f"{root}/weights")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from vit_engine.weights.fetching.download import download
sys.stdin.readline()
download(url, Path(target), progress=lambda fraction, message: print(message, flush=True))
"""


class Child(subprocess.Popen[str]):
    """A process that downloads a URL to a file once it is told to, and tells its progress."""

    def __init__(self, url: str, target: Path) -> None:
        command = [sys.executable, "-c", _CODE, vit_engine.__path__[0], url, str(target)]
        super().__init__(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def begin(self, *, until: str) -> None:
        """Return when it tells this."""
        assert self.stdin is not None
        assert self.stdout is not None
        self.stdin.write("\n")
        self.stdin.flush()
        assert any(line.rstrip() == until for line in self.stdout), f"it ended and never told {until!r}"
