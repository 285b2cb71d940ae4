"""A model's weights: fetched once, held to what they must be, and loaded."""

import dataclasses
import hashlib
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as to_safetensors

from tests.vit_engine.weights.serving import Served, Server
from vit_engine.errors import CheckpointError, DownloadError
from vit_engine.spec import ModelSpec, Weights
from vit_engine.weights import LoadedModel, fetch, load_model, weights_path


@pytest.fixture
def remote(
    small: LoadedModel, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ModelSpec]:
    """The small model with its weights on the server, in an empty cache."""
    monkeypatch.setenv("VIT_ENGINE_HOME", str(tmp_path / "cache"))
    body = to_safetensors(small.model.state_dict())

    def spec(name: str = "small.safetensors", *, host: str = server.url, sha256: str | None = None) -> ModelSpec:
        server.files[f"/{name}"] = Served(body)
        return dataclasses.replace(small.spec, weights=Weights(url=f"{host}/{name}", sha256=sha256))

    return spec


def test_a_model_is_downloaded_once(small: LoadedModel, server: Server, remote: Callable[..., ModelSpec]) -> None:
    spec = remote()
    first = load_model(spec, device="cpu")
    again = load_model(spec, device="cpu")
    pixels = torch.ones(1, 3, 20, 28)
    for loaded in (first, again):
        torch.testing.assert_close(loaded.model(pixels), small.model(pixels), rtol=0, atol=0)
        assert loaded.report.source == str(weights_path(spec))
    assert len(server.asked) == 1


def test_fetch_returns_the_file_and_records_its_sha256(server: Server, remote: Callable[..., ModelSpec]) -> None:
    spec = remote()
    path = fetch(spec)
    assert path == fetch(spec) == weights_path(spec)
    digits = hashlib.sha256(server.files["/small.safetensors"].body).hexdigest()
    assert path.with_name("small.safetensors.sha256").read_text() == f"{digits}  small.safetensors\n"
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("name", "sha256", "source"),
    [
        ("small.safetensors", "0" * 64, f"expected {'0' * 64}, as the registry says"),
        ("small-00000000.safetensors", None, "expected 00000000, as its name says"),
    ],
)
def test_a_file_of_another_sha256_never_gets_its_name(
    remote: Callable[..., ModelSpec], name: str, sha256: str | None, source: str
) -> None:
    spec = remote(name, sha256=sha256)
    with pytest.raises(DownloadError, match=rf"{name} has sha256 \w{{64}}; {source}"):
        fetch(spec)
    assert [path.name for path in weights_path(spec).parent.iterdir()] == [f".{name}.lock"]


@pytest.mark.parametrize("known", ["row", "name"])
def test_a_file_of_the_right_sha256_is_kept(small: LoadedModel, remote: Callable[..., ModelSpec], known: str) -> None:
    digits = hashlib.sha256(to_safetensors(small.model.state_dict())).hexdigest()
    spec = remote(sha256=digits) if known == "row" else remote(f"small-{digits[:8]}.safetensors")
    assert fetch(spec).exists()


def test_a_file_that_comes_again_must_be_the_one_that_came_first(
    server: Server, remote: Callable[..., ModelSpec]
) -> None:
    spec = remote()
    fetch(spec).unlink()
    server.files["/small.safetensors"] = Served(b"changed")
    with pytest.raises(DownloadError, match=r"as recorded in .* delete small\.safetensors\.sha256 as well"):
        fetch(spec)
    weights_path(spec).with_name("small.safetensors.sha256").unlink()
    assert fetch(spec).read_bytes() == b"changed"


def test_an_error_page_saved_as_weights_is_refused(server: Server, remote: Callable[..., ModelSpec]) -> None:
    spec = remote()
    server.files["/small.safetensors"] = Served(b"<!DOCTYPE html><html>Sign in</html>")
    with pytest.raises(CheckpointError, match=r"it is a web page \(HTML\)"):
        load_model(spec, device="cpu")


def test_offline_the_error_names_the_models_that_work(remote: Callable[..., ModelSpec]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        spec = remote(host=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(DownloadError) as failure:
            fetch(spec)
    message = str(failure.value)
    assert spec.weights is not None
    assert f"could not download {spec.weights.url}: " in message
    path = weights_path(spec)
    assert f"put it into {path.parent} as {path.name}. These trained models work without it: " in message
    assert "demo_vit_p16, demo_vit_p8" in message
    assert "dino_vits16" not in message


def test_packaged_weights_that_are_not_there_are_not_downloaded(small_spec: ModelSpec) -> None:
    spec = dataclasses.replace(small_spec, weights=Weights(packaged="gone.safetensors"))
    with pytest.raises(CheckpointError, match=r"'small' should be at .*gone\.safetensors, but are not there"):
        fetch(spec)


def test_random_models_have_nothing_to_fetch(small_spec: ModelSpec) -> None:
    with pytest.raises(CheckpointError, match="'small' has no trained weights"):
        fetch(small_spec)
