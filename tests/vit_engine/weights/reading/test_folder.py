"""Folders: as the Hugging Face hub and training runs lay them out, whole, and nothing from outside of them."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import ViTConfig, ViTModel

from tests.vit_engine.weights.fixtures_states import assert_same, prefixed, saved, sharded, vit_state
from vit_engine.errors import CheckpointError
from vit_engine.weights import load_model
from vit_engine.weights.reading.read import read_checkpoint

FIRST = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4)}
SECOND = {"c": torch.zeros(5)}
WHOLE = FIRST | SECOND
CONFIG, PREPROCESSOR = {"model_type": "vit", "num_attention_heads": 3}, {"image_mean": [0.5, 0.5, 0.5]}
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def with_config(folder: Path) -> Path:
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR), encoding="utf-8")
    return folder


def refused(path: Path, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(path)


@pytest.mark.parametrize(("name", "container"), [("model.safetensors", "safetensors"), ("pytorch_model.bin", "torch")])
def test_a_folder_of_the_hub_is_its_weights_and_its_configuration(tmp_path: Path, name: str, container: str) -> None:
    folder = with_config(saved(tmp_path / "my-vit" / name, WHOLE).parent)
    saved(folder / "optimizer.pt", {"state": {}, "param_groups": []})
    file = read_checkpoint(folder)
    assert_same(file.content, WHOLE)
    assert (file.config, file.preprocessor, file.container) == (CONFIG, PREPROCESSOR, container)
    assert (file.path, file.name) == (folder, "my-vit")
    assert file.sha256 == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    alone = read_checkpoint(folder / name)
    assert (alone.config, alone.preprocessor, alone.name, alone.path) == (CONFIG, PREPROCESSOR, "my-vit", folder / name)


def test_safetensors_come_before_pickles(tmp_path: Path) -> None:
    saved(tmp_path / "pytorch_model.bin", SECOND)
    saved(tmp_path / "model.safetensors", FIRST)
    assert read_checkpoint(tmp_path).content.keys() == FIRST.keys()


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize("asked", ["folder", "index", "shard"])
def test_shards_are_one_checkpoint(tmp_path: Path, suffix: str, asked: str) -> None:
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    names = [f"{stem}-0000{number}-of-00002.{suffix}" for number in (1, 2)]
    index = f"{stem}.{suffix}.index.json"
    folder = with_config(sharded(tmp_path, dict(zip(names, (FIRST, SECOND), strict=True)), index=index))
    file = read_checkpoint({"folder": folder, "index": folder / index, "shard": folder / names[1]}[asked])
    assert_same(file.content, WHOLE)
    assert file.sha256 == hashlib.sha256(b"".join((folder / name).read_bytes() for name in names)).hexdigest()
    assert (file.config, file.preprocessor) == (CONFIG, PREPROCESSOR)


def test_missing_shards_are_named(tmp_path: Path) -> None:
    sharded(tmp_path, dict(zip(SHARDS, (FIRST, SECOND), strict=True)))
    (tmp_path / SHARDS[1]).unlink()
    refused(tmp_path, rf"lacks 1 of the 2 files that model\.safetensors\.index\.json names: {SHARDS[1]}\. Copy them")


def test_a_shard_without_its_index_is_a_part_of_a_model(tmp_path: Path) -> None:
    saved(tmp_path / SHARDS[0], FIRST)
    refused(
        tmp_path / SHARDS[0], rf"{SHARDS[0]} is a part of a model, and model\.safetensors\.index\.json, .* not beside"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d": SHARDS[1]}, r"00002-of-00002\.safetensors has other tensors than its index says\. Missing: \['d'\]"),
        ({"c": SHARDS[0]}, r"00001-of-00002\.safetensors has other tensors .* Missing: \['c'\]\. Unexpected: none"),
        ({"b": None}, r"00001-of-00002\.safetensors has other tensors .* Missing: none\. Unexpected: \['b'\]"),
    ],
)
def test_shards_hold_exactly_what_their_index_says(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    sharded(tmp_path, dict(zip(SHARDS, (FIRST, SECOND), strict=True)))
    path = tmp_path / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"] = {key: name for key, name in (index["weight_map"] | change).items() if name}
    path.write_text(json.dumps(index))
    refused(tmp_path, message)


@pytest.mark.parametrize(
    "place", ["../outside.safetensors", "inner/x.safetensors", "ABSOLUTE", "link.safetensors", ".."]
)
def test_nothing_outside_of_the_folder_is_read(tmp_path: Path, place: str) -> None:
    outside = saved(tmp_path / "outside.safetensors", SECOND)
    folder = tmp_path / "folder"
    saved(folder / "inner" / "x.safetensors", SECOND)
    (folder / "link.safetensors").symlink_to(outside)
    name = str(outside) if place == "ABSOLUTE" else place
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"c": name}}))
    refused(folder, r"index\.json names .*, which is outside of its folder\. Do not trust it")


def test_shards_of_the_hubs_cache_are_links_to_its_blobs(tmp_path: Path) -> None:
    repository = tmp_path / "models--a--vit"
    snapshot = sharded(repository / "snapshots" / "0123abc", dict(zip(SHARDS, (FIRST, SECOND), strict=True)))
    for place in ("blobs", "elsewhere"):
        (repository / place).mkdir()
    for name in SHARDS:
        (snapshot / name).rename(repository / "blobs" / name)
        (snapshot / name).symlink_to(Path("..") / ".." / "blobs" / name)
    assert_same(read_checkpoint(snapshot).content, WHOLE)
    index = snapshot / "model.safetensors.index.json"
    links = index.read_text()
    index.write_text(links.replace(SHARDS[0], f"../../blobs/{SHARDS[0]}"))
    refused(snapshot, "outside of its folder")
    index.write_text(links)
    (repository / "blobs" / SHARDS[0]).rename(repository / "elsewhere" / SHARDS[0])
    (snapshot / SHARDS[0]).unlink()
    (snapshot / SHARDS[0]).symlink_to(Path("..") / ".." / "elsewhere" / SHARDS[0])
    refused(snapshot, "outside of its folder")


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"weight_map": {}}', '{"weight_map": {"a": 3}}', '{"weight_map": []}']
)
def test_an_index_that_names_nothing_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(content)
    refused(tmp_path, r"index\.json must (have a weight_map from tensors to files|hold a JSON object)")


@pytest.mark.parametrize("name", ["\0", "w\ud800.safetensors"])
def test_an_index_with_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    refused(tmp_path, r"index\.json names .*, which no file can be called")


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"model_type": ', "is no JSON that can be read"),
        (b"\xff\xfe{}", "is no JSON that can be read"),
        (b"[" * 100_000, "is no JSON that can be read"),
        (b"", "is no JSON that can be read"),
        (b"[1, 2]", "must hold a JSON object; got list"),
    ],
)
def test_a_damaged_configuration_is_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    saved(tmp_path / "model.safetensors", WHOLE)
    (tmp_path / name).write_bytes(content)
    refused(tmp_path, rf"{name} {message}.*Copy it again")


def test_a_configuration_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    saved(tmp_path / "model.safetensors", WHOLE)
    (tmp_path / "config.json").mkdir()
    refused(tmp_path, r"config\.json has .* bytes; a configuration is a file")


def test_a_single_file_is_the_folders_checkpoint_and_has_its_configuration(tmp_path: Path) -> None:
    saved(tmp_path / "epoch_99.ckpt", WHOLE)
    saved(tmp_path / "optimizer.pt", {"state": {}, "param_groups": []})
    (tmp_path / "log.txt").write_text("loss")
    assert_same(read_checkpoint(tmp_path).content, WHOLE)
    assert read_checkpoint(with_config(tmp_path)).config == CONFIG


def test_a_stray_configuration_is_not_that_of_a_file_with_a_name_of_its_own(tmp_path: Path) -> None:
    path = saved(with_config(tmp_path) / "my_run.pth", WHOLE)
    assert (read_checkpoint(path).config, read_checkpoint(path).preprocessor) == ({}, {})


def test_of_several_files_one_is_to_be_passed(tmp_path: Path) -> None:
    for name in ("b.pth", "a.safetensors"):
        saved(tmp_path / name, WHOLE)
    refused(tmp_path, r"holds 2 files that may be weights, .*: a\.safetensors, b\.pth\. Pass one of them")


def test_a_folder_without_weights_says_what_was_looked_for(tmp_path: Path) -> None:
    refused(
        tmp_path, r"holds no weights: looked for model\.safetensors, .*, or a single file .*; got nothing\. Pass the f"
    )
    (with_config(tmp_path) / "optimizer.pt").touch()
    refused(tmp_path, r"got config\.json, optimizer\.pt, preprocessor_config\.json\. Pass the file, or the folder that")


def test_folders_in_a_folder_that_hold_weights_are_named(tmp_path: Path) -> None:
    saved(tmp_path / "snapshots" / "0123abc" / "model.safetensors", WHOLE)
    saved(tmp_path / "checkpoint-500" / "pytorch_model.bin", WHOLE)
    refused(tmp_path, r"Pass a folder in it that does: checkpoint-500, snapshots/0123abc\.")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((".metadata", "__0_0.distcp"), r"is a distributed checkpoint .* Make it one file: .*dcp_to_torch"),
        (("__0_0.distcp",), r"is a distributed checkpoint"),
        (("adapter_config.json", "adapter_model.safetensors"), r"holds an adapter .*merge_and_unload"),
        (("saved_model.pb",), r"is a TensorFlow SavedModel"),
    ],
)
def test_folders_of_other_kinds_are_named(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    refused(tmp_path, message)


def test_a_piece_of_a_distributed_checkpoint_is_named(tmp_path: Path) -> None:
    refused(
        saved(tmp_path / "__0_0.distcp", WHOLE), r"__0_0\.distcp is a part of a distributed checkpoint .*dcp_to_torch"
    )


def test_a_folder_that_transformers_has_sharded_becomes_a_model_with_the_heads_of_its_configuration(
    tmp_path: Path,
) -> None:
    configuration = ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=3, image_size=28, patch_size=7, intermediate_size=40
    )
    model = ViTModel(configuration, add_pooling_layer=False).eval()
    model.save_pretrained(tmp_path / "run", max_shard_size="8KB")
    assert len(list((tmp_path / "run").glob("model-*-of-*.safetensors"))) > 2
    loaded = load_model(tmp_path / "run", device="cpu")
    assert (loaded.spec.heads, loaded.spec.norm_eps) == (3, configuration.layer_norm_eps)
    assert loaded.report.dtypes == (("float32", len(model.state_dict())),), "of the file, not of what is joined"
    pixels = torch.randn(1, 3, 28, 28, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = model(pixels).last_hidden_state[:, 0]
    torch.testing.assert_close(loaded.model(pixels), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", [str, Path])
def test_a_folder_becomes_a_model(tmp_path: Path, form: Callable[[Path], Any]) -> None:
    state = vit_state(seed=5)
    names = sorted(state)
    folder = sharded(
        tmp_path / "run",
        {SHARDS[0]: {name: state[name] for name in names[:9]}, SHARDS[1]: {name: state[name] for name in names[9:]}},
    )
    loaded = load_model(form(folder), heads=3, device="cpu")
    assert_same(loaded.model.state_dict(), state)
    assert (loaded.spec.name, loaded.report.source, loaded.report.container) == ("run", str(folder), "safetensors")


def test_a_part_of_a_folders_checkpoint(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    saved(folder / "last.pth", {"teacher": vit_state(1), "student": prefixed(vit_state(2), "module.")})
    loaded = load_model(f"{folder}#student", heads=3, device="cpu")
    assert_same(loaded.model.state_dict(), vit_state(2))
    assert (loaded.report.part, loaded.report.source) == ("student", str(folder))


def test_a_processor_of_several_kinds_says_how_pictures_are_wanted(tmp_path: Path) -> None:
    """As transformers 5 saves a CLIPProcessor; a preprocessor_config.json has its say before it."""
    saved(tmp_path / "model.safetensors", vit_state())
    content = {"image_processor": {"image_mean": [0.1, 0.2, 0.3]}, "processor_class": "CLIPProcessor"}
    (tmp_path / "processor_config.json").write_text(json.dumps(content), encoding="utf-8")
    assert read_checkpoint(tmp_path).preprocessor == {"image_mean": [0.1, 0.2, 0.3]}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(PREPROCESSOR), encoding="utf-8")
    assert read_checkpoint(tmp_path).preprocessor == PREPROCESSOR
    (tmp_path / "preprocessor_config.json").unlink()
    (tmp_path / "processor_config.json").write_text('{"image_processor": 3}', encoding="utf-8")
    assert read_checkpoint(tmp_path).preprocessor == {}
