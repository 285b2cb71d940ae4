"""Who may import whom: read from the source of every module, and from planted violations."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Rooms of the engine from the lowest up. A room imports from lower ones and from itself; "" is the package's own face.
LEVELS = (
    ("errors", "progress", "demo.shapes", "planning.cgroup"),
    ("containers",),
    ("spec", "devices", "decoding"),
    ("planning.budget",),
    ("registry", "positions", "streaming", "image", "maps", "statistics"),
    ("model",),
    ("weights", "presets"),
    ("planning",),
    ("trace",),
    ("methods", "similarity"),
    ("comparison", "rankings"),
    ("",),
    ("console", "pictures", "versions"),
    ("demo", "cli"),
    ("__main__",),
)
LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}
WITHOUT_TORCH = (
    "errors",
    "progress",
    "decoding",
    "spec",
    "registry",
    "maps",
    "statistics",
    "demo.shapes",
    "console",
    "pictures",
)


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


def room_of(module: str) -> str:
    """The room of a module of the engine: "weights" of "vit_engine.weights.load"."""
    parts = module.split(".")[1:]
    two = ".".join(parts[:2])
    return two if two in LEVEL else ".".join(parts[:1])


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def engine_is_alone(root: Path) -> list[Import]:
    return [found for found in imports_under(root, "vit_engine") if found.is_of("dashboard", "streamlit", "plotly")]


def engine_has_layers(root: Path) -> list[Import]:
    found = []
    for each in imports_under(root, "vit_engine"):
        if each.is_of("vit_engine"):
            above, below = room_of(module_of(each.path)), room_of(each.module)
            for room in (above, below):
                assert room in LEVEL, f"{each.path}: give the room {room!r} its place in LEVELS of this test"
            if above != below and LEVEL[below] >= LEVEL[above]:
                found.append(each)
    return found


def rooms_without_torch(root: Path) -> list[Import]:
    imports = imports_under(root, "vit_engine")
    return [each for each in imports if each.is_of("torch") and room_of(module_of(each.path)) in WITHOUT_TORCH]


def reports_draw_only(root: Path) -> list[Import]:
    """What writes comparisons down knows no page and runs no model."""
    forbidden = ("streamlit", "dashboard", "torch", "torchvision")
    return [each for each in imports_under(root, "vit_report") if each.is_of(*forbidden)]


def two_commands_write_reports(root: Path) -> list[Import]:
    """Of the engine, only these may import what needs Plotly."""
    writers = {Path("vit_engine/cli/compare.py"), Path("vit_engine/cli/reproduce.py")}
    return [each for each in imports_under(root, "vit_engine") if each.is_of("vit_report") and each.path not in writers]


def figures_draw_only(root: Path) -> list[Import]:
    return [
        each
        for each in imports_under(root, "dashboard")
        if each.path.name.endswith(("figures.py", "mosaics.py")) or "figures" in each.path.parts
        if each.is_of("streamlit", "torch", "dashboard.services", "dashboard.controls", "dashboard.views")
    ]


def views_stand_on_top(root: Path) -> list[Import]:
    """Nobody imports the entry or the tests' support, and only pages import parts of pages."""
    entries = ("dashboard.app", "dashboard.serve", "dashboard.testing")
    return [
        each
        for each in imports_under(root, "dashboard")
        if each.path.name not in {"app.py", "serve.py", "testing.py"}
        if each.is_of(*entries) or (each.is_of("dashboard.views") and "views" not in each.path.parts)
    ]


def calls_the_engine(path: Path) -> bool:
    """Whether a file of the dashboard is of the room that calls the engine, or the tests' support."""
    return "services" in path.parts or path.name == "testing.py"


def only_services_call_the_engine(root: Path) -> list[Import]:
    """Others may import its types and constants, which begin with a capital, but neither functions nor modules."""
    return [
        each
        for each in imports_under(root, "dashboard")
        if not calls_the_engine(each.path)
        if each.is_of("torch")
        or (each.is_of("vit_engine") and not (each.names and all(name[0].isupper() for name in each.names)))
    ]


RULES = (
    engine_is_alone,
    engine_has_layers,
    rooms_without_torch,
    reports_draw_only,
    two_commands_write_reports,
    figures_draw_only,
    views_stand_on_top,
    only_services_call_the_engine,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_source_keeps_the_rule(rule: Callable[[Path], list[Import]]) -> None:
    assert not rule(ROOT), "\n".join(map(str, rule(ROOT)))


def test_only_services_have_caches() -> None:
    others = [path for path in (ROOT / "dashboard").rglob("*.py") if "services" not in path.parts]
    assert others
    assert not [path for path in others if re.search(r"\bcache_(data|resource)\b", path.read_text("utf-8"))]


def test_the_walk_finds_what_is_there() -> None:
    found = list(imports_under(ROOT, "vit_engine"))
    assert any(each.module == "vit_engine.streaming" and "stream_attention" in each.names for each in found)
    assert {each.path for each in found} >= {Path("vit_engine/trace/run.py"), Path("vit_engine/weights/load.py")}


@pytest.mark.parametrize(
    ("rule", "path", "code"),
    [
        (engine_is_alone, "vit_engine/trace.py", "import streamlit as st"),
        (engine_is_alone, "vit_engine/methods/rollout.py", "def f():\n    from plotly.graph_objects import Figure"),
        (engine_is_alone, "vit_engine/cli.py", "from dashboard import services"),
        (engine_has_layers, "vit_engine/spec.py", "from vit_engine.image import open_image"),
        (engine_has_layers, "vit_engine/registry.py", "from vit_engine.maps import AttentionMap"),
        (engine_has_layers, "vit_engine/registry.py", "from vit_engine.demo import scenes"),
        (engine_has_layers, "vit_engine/weights/load.py", "from vit_engine import trace"),
        (engine_has_layers, "vit_engine/model.py", "import vit_engine as ve"),
        (engine_has_layers, "vit_engine/model.py", "import vit_engine.weights.load"),
        (rooms_without_torch, "vit_engine/statistics.py", "from torch import Tensor"),
        (reports_draw_only, "vit_report/figure.py", "import streamlit as st"),
        (reports_draw_only, "vit_report/figure.py", "from dashboard.figures import heatmap"),
        (reports_draw_only, "vit_report/record.py", "def f():\n    import torch"),
        (two_commands_write_reports, "vit_engine/cli/attend.py", "from vit_report import picture"),
        (two_commands_write_reports, "vit_engine/comparison/compare.py", "def f():\n    import vit_report.bundle"),
        (figures_draw_only, "dashboard/figures.py", "import torch.nn"),
        (figures_draw_only, "dashboard/figures.py", "from streamlit import cache_data"),
        (figures_draw_only, "dashboard/mosaics.py", "import torch"),
        (figures_draw_only, "dashboard/heads_figures.py", "import streamlit as st"),
        (figures_draw_only, "dashboard/figures/maps.py", "from dashboard import services"),
        (views_stand_on_top, "dashboard/figures.py", "from dashboard.views import explore"),
        (views_stand_on_top, "dashboard/controls.py", "from dashboard import app"),
        (views_stand_on_top, "dashboard/services/models.py", "from dashboard.testing import press"),
        (only_services_call_the_engine, "dashboard/views/explore.py", "from vit_engine import ModelSpec, attend"),
        (only_services_call_the_engine, "dashboard/controls.py", "import vit_engine as ve"),
        (only_services_call_the_engine, "dashboard/state.py", "from vit_engine import registry"),
        (only_services_call_the_engine, "dashboard/views/explore.py", "import torch"),
    ],
)
def test_a_planted_violation_is_found(
    tmp_path: Path, rule: Callable[[Path], list[Import]], path: str, code: str
) -> None:
    others = (
        "vit_engine/registry",
        "vit_engine/trace",
        "vit_engine/demo/scenes",
        "dashboard/app",
        "dashboard/services/__init__",
    )
    for module in (*others, path.removesuffix(".py")):
        (tmp_path / module).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{module}.py").touch()
    (tmp_path / path).write_text(code, encoding="utf-8")
    assert [str(each.path) for each in rule(tmp_path)] == [path]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("vit_engine/weights/load.py", "import torch\nfrom vit_engine.weights.reading.read import read_checkpoint"),
        ("vit_engine/trace.py", "from vit_engine.model import Block\nimport torch"),
        ("vit_engine/cli.py", "import vit_engine as ve"),
        ("vit_engine/cli/compare.py", "def f():\n    from vit_report.bundle import bundle"),
        ("vit_report/record.py", "from vit_engine.versions import versions\nimport plotly"),
        ("dashboard/services/models.py", "import vit_engine as ve\nfrom vit_engine import attend"),
        ("dashboard/testing.py", "from vit_engine import load_model\nfrom dashboard import app"),
        ("dashboard/views/explore.py", "from dashboard.views import head_table"),
        ("dashboard/views/explore.py", "from dashboard import controls\nfrom vit_engine.statistics import COLUMNS"),
    ],
)
def test_what_is_allowed_is_let_through(tmp_path: Path, path: str, code: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(code, encoding="utf-8")
    assert [each for rule in RULES for each in rule(tmp_path)] == []
