"""Who may import whom: read from the source of every module, and from planted violations."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# The engine, floor by floor from the ground up: a room imports lower floors and itself; "" is the package's own face.
ENGINE = (
    ("errors", "progress"),
    ("grid",),
    ("spec", "devices", "containers"),
    ("resources", "decoding"),
    ("image", "registry", "model"),
    ("weights",),
    ("planning",),
    ("trace",),
    ("analysis",),
    ("",),
    ("report",),
    ("cli",),
    ("demo", "__main__"),
)
# The dashboard. Pages stand side by side on one floor: they never import one another.
DASHBOARD = (
    ("", "keys", "samples", "charts"),
    ("links",),
    ("services",),
    ("shell", "server"),
    ("explore", "tokens", "compare", "heads", "models", "guide"),
    ("views",),
    ("app", "serve"),
    ("testing",),
)
PLACES = {  # of what draws, in the engine; the dashboard may use Plotly, too
    "plotly": {"vit_engine/report/figure.py"},
    "matplotlib": {"vit_engine/report/painter.py"},
}


@dataclass(frozen=True)
class Import:
    """One imported module, and the names taken from it; none for the module itself."""

    path: Path
    line: int
    module: str
    names: tuple[str, ...]

    def is_of(self, *packages: str) -> bool:
        return any(self.module == package or self.module.startswith(f"{package}.") for package in packages)

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {', '.join(self.names) or 'the module'} of {self.module}"


def imports_under(root: Path, folder: str) -> Iterator[Import]:
    """Every import in every module under a folder, wherever in the module it stands."""
    for path in sorted((root / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = path.relative_to(root), getattr(node, "lineno", 0)
            if isinstance(node, ast.Import):
                yield from (Import(*where, alias.name, ()) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, f"{path}:{node.lineno} imports relatively; name the package"
                yield from _from(root, where, node.module or "", [alias.name for alias in node.names])


def _from(root: Path, where: tuple[Path, int], module: str, names: list[str]) -> Iterator[Import]:
    """`from package import name`, where a name may be a module of the package."""
    folder = root / module.replace(".", "/")
    modules = [name for name in names if (folder / name).is_dir() or (folder / f"{name}.py").is_file()]
    yield from (Import(*where, f"{module}.{name}", ()) for name in modules)
    rest = tuple(name for name in names if name not in modules)
    if rest:
        yield Import(*where, module, rest)


def rooms_are_floors(root: Path, package: str, floors: tuple[tuple[str, ...], ...]) -> list[Import]:
    """Imports that lead up, or across to another room of the same floor."""
    floor = {room: number for number, rooms in enumerate(floors) for room in rooms}
    up = []
    for each in imports_under(root, package):
        if each.is_of(package):
            importer, imported = room_of(module_of(each.path)), room_of(each.module)
            for room in (importer, imported):
                assert room in floor, f"{each.path}: give the room {room!r} of {package} its floor in this test"
            if importer != imported and floor[imported] >= floor[importer]:
                up.append(each)
    return up


def room_of(module: str) -> str:
    """The room of a module: "weights" of "vit_engine.weights.load"."""
    return ".".join(module.split(".")[1:2])


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def engine_has_floors(root: Path) -> list[Import]:
    return rooms_are_floors(root, "vit_engine", ENGINE)


def dashboard_has_floors(root: Path) -> list[Import]:
    return rooms_are_floors(root, "dashboard", DASHBOARD)


def libraries_have_their_places(root: Path) -> list[Import]:
    """No Streamlit in the engine; Plotly and Matplotlib in few files of its reports, which know no PyTorch, and of the
    dashboard only the services do.
    """
    every = (each for package in ("vit_engine", "dashboard") for each in imports_under(root, package))
    return [each for each in every if _is_out_of_place(each)]


def _is_out_of_place(each: Import) -> bool:
    in_engine = each.path.is_relative_to("vit_engine")
    if each.is_of("streamlit", "dashboard"):
        return in_engine
    if each.is_of(*PLACES):
        library = each.module.partition(".")[0]
        return str(each.path) not in PLACES[library] and (in_engine or library == "matplotlib")
    if each.is_of("torch", "torchvision"):
        reports = each.path.is_relative_to("vit_engine/report") and each.path.name != "versions.py"
        return reports or not (in_engine or "services" in each.path.parts)
    return False


RULES = (engine_has_floors, libraries_have_their_places, dashboard_has_floors)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_source_keeps_the_rule(rule: Callable[[Path], list[Import]]) -> None:
    assert not rule(ROOT), "\n".join(map(str, rule(ROOT)))


def test_only_services_have_caches() -> None:
    others = [path for path in (ROOT / "dashboard").rglob("*.py") if "services" not in path.parts]
    assert others
    assert not [path for path in others if re.search(r"\bcache_(data|resource)\b", path.read_text("utf-8"))]


def test_the_walk_finds_what_is_there() -> None:
    found = list(imports_under(ROOT, "vit_engine"))
    assert any(each.module == "vit_engine.model.streaming" and "stream_attention" in each.names for each in found)
    assert {each.path for each in found} >= {Path("vit_engine/trace/run.py"), Path("vit_engine/weights/load.py")}


@pytest.mark.parametrize(
    ("rule", "path", "code"),
    [
        (engine_has_floors, "vit_engine/spec.py", "from vit_engine.image import open_image"),
        (engine_has_floors, "vit_engine/registry/dino.py", "from vit_engine.model import Block"),
        (engine_has_floors, "vit_engine/registry/dino.py", "def f():\n    from vit_engine.demo import scenes"),
        (engine_has_floors, "vit_engine/weights/load.py", "from vit_engine import trace"),
        (engine_has_floors, "vit_engine/trace/record.py", "from vit_engine.analysis.maps import agreement"),
        (engine_has_floors, "vit_engine/model/vit.py", "import vit_engine as ve"),
        (engine_has_floors, "vit_engine/model/vit.py", "import vit_engine.weights.load"),
        (engine_has_floors, "vit_engine/report/record.py", "from vit_engine.cli import console"),
        (libraries_have_their_places, "vit_engine/trace/run.py", "import streamlit as st"),
        (libraries_have_their_places, "vit_engine/cli/attend.py", "from dashboard import services"),
        (libraries_have_their_places, "vit_engine/report/bundle.py", "from plotly.graph_objects import Figure"),
        (libraries_have_their_places, "vit_engine/report/colours.py", "from plotly.colors import get_colorscale"),
        (libraries_have_their_places, "vit_engine/analysis/maps/mask.py", "def f():\n    import plotly"),
        (libraries_have_their_places, "vit_engine/report/record.py", "def f():\n    import torch"),
        (libraries_have_their_places, "vit_engine/report/sheets.py", "from matplotlib import pyplot"),
        (libraries_have_their_places, "dashboard/charts.py", "import matplotlib"),
        (libraries_have_their_places, "dashboard/charts.py", "import torch.nn"),
        (libraries_have_their_places, "dashboard/explore/page.py", "from torch import Tensor"),
        (dashboard_has_floors, "dashboard/charts.py", "from dashboard.services import analyses"),
        (dashboard_has_floors, "dashboard/links/address.py", "from dashboard import services"),
        (dashboard_has_floors, "dashboard/services/catalogue.py", "from dashboard.shell import sidebar"),
        (dashboard_has_floors, "dashboard/shell/sidebar.py", "from dashboard import app"),
        (dashboard_has_floors, "dashboard/heads/page.py", "from dashboard.compare import state"),
        (dashboard_has_floors, "dashboard/compare/page.py", "from dashboard.views import explore"),
        (dashboard_has_floors, "dashboard/services/catalogue.py", "from dashboard.testing import press"),
    ],
)
def test_a_planted_violation_is_found(
    tmp_path: Path, rule: Callable[[Path], list[Import]], path: str, code: str
) -> None:
    plant(tmp_path, path, code)
    assert [str(each.path) for each in rule(tmp_path)] == [path]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("vit_engine/weights/load.py", "import torch\nfrom vit_engine.weights.reading.read import read_checkpoint"),
        ("vit_engine/trace/run.py", "from vit_engine.model import Block\nimport torch"),
        ("vit_engine/cli/attend.py", "import vit_engine as ve\nfrom vit_engine.report import sheets"),
        ("vit_engine/report/figure.py", "import plotly"),
        ("dashboard/services/memory.py", "import torch\nfrom vit_engine import attend"),
        ("dashboard/testing.py", "from vit_engine import load_model\nfrom dashboard import app"),
        ("dashboard/explore/page.py", "from dashboard.explore import mosaics\nimport streamlit"),
        ("dashboard/views/explore.py", "from dashboard.explore.page import page"),
    ],
)
def test_what_is_allowed_is_let_through(tmp_path: Path, path: str, code: str) -> None:
    plant(tmp_path, path, code)
    assert [each for rule in RULES for each in rule(tmp_path)] == []


def plant(root: Path, path: str, code: str) -> None:
    """A file of this code among empty modules, which stand for the rooms that it imports."""
    for module in (
        "vit_engine/registry/__init__",
        "vit_engine/trace/__init__",
        "vit_engine/demo/scenes",
        "vit_engine/report/sheets",
        "vit_engine/cli/console",
        "dashboard/app",
        "dashboard/testing",
        "dashboard/services/analyses",
        "dashboard/shell/sidebar",
        "dashboard/compare/state",
        "dashboard/explore/mosaics",
        "dashboard/views/explore",
        path.removesuffix(".py"),
    ):
        (root / module).parent.mkdir(parents=True, exist_ok=True)
        (root / f"{module}.py").touch()
    (root / path).write_text(code, encoding="utf-8")
