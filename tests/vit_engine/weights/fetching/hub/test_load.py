"""Models by their names on the hub, from load_model() to the hub and back."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import hf_hub_download

import vit_engine as ve
from tests.vit_engine.weights.fetching.hub.conftest import NAME
from tests.vit_engine.weights.hub_models import dinov2_files, onnx_files, pickled_files, timm_files
from tests.vit_engine.weights.hub_server import Hub, Repo


def saved(files: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def fetched(hub: Hub) -> set[str]:
    return set(hub.fetched())


def test_a_name_gives_the_same_model_as_the_folder(hub: Hub, tmp_path: Path) -> None:
    folder = ve.load_model(saved(dict(dinov2_files()), tmp_path / "saved"), device="cpu")
    loaded = ve.load_model(NAME, device="cpu")
    source = f"hf:{NAME}@{hub.repos[NAME].commit}"
    assert loaded.spec == dataclasses.replace(folder.spec, name=NAME, title=NAME)
    assert loaded.report == dataclasses.replace(folder.report, source=source)
    for name, tensor in loaded.model.state_dict().items():
        torch.testing.assert_close(tensor, folder.model.state_dict()[name], rtol=0, atol=0)


def test_only_what_is_read_is_fetched_and_only_once(hub: Hub) -> None:
    hub.repos[NAME].files |= {"pytorch_model.bin": b"a pickle", "tf_model.h5": b"more", "training_args.bin": b"more"}
    ve.load_model(NAME, device="cpu")
    assert fetched(hub) == {"config.json", "model.safetensors"}
    hub.asked.clear()
    ve.load_model(NAME, device="cpu")
    assert [(each.method, each.path) for each in hub.asked] == [("GET", f"/api/models/{NAME}")]


def test_the_recorded_source_loads_the_same_files_without_asking_the_hub(hub: Hub) -> None:
    source = ve.load_model(NAME, device="cpu").report.source
    hub.asked.clear()
    hub.status = 503
    assert ve.load_model(source, device="cpu").report.source == source
    assert hub.asked == []


def test_a_revision_is_asked_for_by_its_name(hub: Hub) -> None:
    for revision in ("v1.0", "refs/pr/1", hub.repos[NAME].commit):
        loaded = ve.load_model(f"{NAME}@{revision}", device="cpu")
        assert loaded.report.source == f"hf:{NAME}@{hub.repos[NAME].commit}"


def test_shards_come_as_the_index_names_them(hub: Hub) -> None:
    files = dict(dinov2_files(shards=True))
    shards = {name for name in files if name.endswith(".safetensors")}
    assert len(shards) > 1
    hub.repos["meta/sharded"] = Repo(files | {"model-00009-of-00009.safetensors": b"of another model"})
    whole = ve.load_model(NAME, device="cpu").model.state_dict()
    hub.asked.clear()
    sharded = ve.load_model("meta/sharded", device="cpu").model.state_dict()
    assert fetched(hub) == {"config.json", "model.safetensors.index.json", *shards}
    assert all(torch.equal(sharded[name], tensor) for name, tensor in whole.items())


def test_a_timm_model_is_known_by_its_config(hub: Hub) -> None:
    hub.repos["timm/vit_small.in1k"] = Repo(dict(timm_files()))
    loaded = ve.load_model("timm/vit_small.in1k", device="cpu")
    assert (loaded.report.format, loaded.spec.name, loaded.spec.heads) == ("timm", "timm/vit_small.in1k", 3)


def test_a_pickle_is_read_where_there_are_no_safetensors(hub: Hub) -> None:
    hub.repos["google/vit-old"] = Repo(dict(pickled_files()))
    loaded = ve.load_model("hf:google/vit-old", device="cpu")
    assert (loaded.report.container, loaded.report.format) == ("torch", "Hugging Face ViT")


def test_a_part_and_heads_are_as_of_files(hub: Hub, tmp_path: Path) -> None:
    state = torch.load(saved(dict(pickled_files()), tmp_path / "saved") / "pytorch_model.bin")
    torch.save({"student": state, "teacher": state}, tmp_path / "run.pth")
    hub.repos["me/run"] = Repo({"run.pth": (tmp_path / "run.pth").read_bytes()})
    loaded = ve.load_model("me/run#student", heads=4, device="cpu")
    assert (loaded.report.part, loaded.spec.heads) == ("student", 4)
    assert loaded.report.source == f"hf:me/run@{hub.repos['me/run'].commit}"


@pytest.mark.usefixtures("hub")
def test_an_inspection_is_of_the_same_files() -> None:
    found = ve.inspect_checkpoint(NAME)
    assert found.spec is not None
    assert (found.spec.name, found.spec.heads, found.spec.registers) == (NAME, 3, 2)


def test_a_renamed_model_is_found_under_its_old_name(hub: Hub) -> None:
    hub.moved["old/name"] = NAME
    assert ve.load_model("old/name", device="cpu").spec.name == NAME


@pytest.mark.usefixtures("hub")
def test_weights_go_with_the_name_of_another_model() -> None:
    with pytest.raises(ve.SpecError, match="weights= goes with a model's name"):
        ve.load_model(NAME, weights="random")


def test_importing_the_engine_imports_nothing_of_the_hub() -> None:
    code = "import sys, vit_engine as ve; ve.load_model('demo_vit_p8'); sys.exit('huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_pickle_in_the_cache_is_not_taken_for_all_of_a_commit(hub: Hub) -> None:
    hub.repos[NAME].files["pytorch_model.bin"] = dict(pickled_files())["pytorch_model.bin"]
    commit = hub.repos[NAME].commit
    hf_hub_download(NAME, "pytorch_model.bin", revision=commit)  # as another program may have done
    assert ve.load_model(f"{NAME}@{commit}", device="cpu").report.container == "safetensors"


def test_an_onnx_export_is_read_where_there_is_nothing_else(hub: Hub) -> None:
    files = dict(onnx_files())
    hub.repos["xenova/vit"] = Repo(files | {"onnx/model_int8.onnx": b"never read"})
    loaded = ve.load_model("xenova/vit", device="cpu")
    assert (loaded.report.container, loaded.spec.heads, loaded.spec.depth) == ("onnx", 3, 2)
    assert fetched(hub) == {"config.json", "onnx/model.onnx", "onnx/model.onnx_data"} == set(files)
