"""What is a name on the hub, and what is a path."""

from pathlib import Path

import pytest

from vit_engine.errors import SpecError
from vit_engine.weights.fetching.hub import HubName, hub_name
from vit_engine.weights.sources import checkpoint_path, hub_source

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("hf:meta/dinov2", HubName("meta/dinov2")),
        ("hf:gpt2", HubName("gpt2")),
        (f"hf:meta/dinov2@{COMMIT}", HubName("meta/dinov2", COMMIT)),
        ("hf:meta/dinov2@refs/pr/1#teacher.backbone", HubName("meta/dinov2", "refs/pr/1", "teacher.backbone")),
        ("meta/dinov2", HubName("meta/dinov2", explicit=False)),
        ("meta/dinov2@v1.0#student", HubName("meta/dinov2", "v1.0", "student", explicit=False)),
        (
            "timm/vit_small_patch14_reg4_dinov2.lvd142m",
            HubName("timm/vit_small_patch14_reg4_dinov2.lvd142m", explicit=False),
        ),
    ],
)
def test_names_are_taken_apart(text: str, name: HubName) -> None:
    assert hub_name(text) == name
    assert name.text == f"hf:{text.removeprefix('hf:')}"


@pytest.mark.parametrize(
    "text",
    [
        "dino_vits8",
        "run/last.pth",
        "run/model.SAFETENSORS",
        "run/last.pth#student",
        "/meta/dinov2",
        "./dinov2",
        "../dinov2",
        "~/dinov2",
        "a/b/c",
        "meta/dino v2",
        "meta/dinov2@",
        "meta/dinov2@a:b",
        "meta\\dinov2",
        "C://models/vit",
    ],
)
def test_other_texts_are_none(text: str) -> None:
    assert hub_name(text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hf:", "Repo id must use alphanumeric chars"),
        ("hf:a/b/c", "Repo id must be in the form .*: 'a/b/c'\\."),
        ("hf:meta/..", "Repo id must use alphanumeric chars"),
        ("hf:meta/a--b", "Cannot have -- or .."),
        ("hf:meta/dinov2@", "'' is no branch, tag or commit"),
        ("hf:meta/dinov2@../../etc", "is no branch, tag or commit"),
        ("hf:meta/dinov2@a b", "is no branch, tag or commit"),
    ],
)
def test_a_name_that_cannot_be_on_the_hub_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(SpecError, match=f"names no model on the Hugging Face hub: .*{reason}.* Write hf:ORG/NAME, "):
        hub_name(text)


@pytest.mark.parametrize("text", ["https://huggingface.co/meta/dinov2", "hf-hub:meta/dinov2", "hf_hub:meta/dinov2"])
def test_an_address_is_no_name(text: str) -> None:
    with pytest.raises(SpecError, match=f"'{text}' is an address, and no name or path.* write hf:ORG/NAME"):
        hub_name(text)


def test_nothing_is_no_folder() -> None:
    assert checkpoint_path("") is None
    assert checkpoint_path(".") == Path()


def test_what_is_here_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert checkpoint_path("meta/dinov2") is None
    (tmp_path / "meta/dinov2").mkdir(parents=True)
    assert checkpoint_path("meta/dinov2") == Path("meta/dinov2")
    assert checkpoint_path("meta/dinov2#student") == Path("meta/dinov2#student")
    assert hub_source("meta/dinov2@v1.0") == HubName("meta/dinov2", "v1.0", explicit=False)
    assert hub_source("hf:meta/dinov2") == HubName("meta/dinov2")
    assert hub_source("meta/other") == HubName("meta/other", explicit=False)
    assert hub_source("dino_vits8") is None
    assert hub_source(Path("meta/other")) is None


def test_only_a_whole_commit_pins() -> None:
    assert HubName("a/b", COMMIT).pinned
    assert not HubName("a/b", COMMIT[:10]).pinned
    assert not HubName("a/b", "main").pinned
