"""`features` gives the same numbers as the API, of a picture or a folder, in files that appear whole or not at all."""

import hashlib
import json
import re
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import vit_engine as ve
from tests.vit_engine.cli.fixtures_features import MODEL, PICTURE_FILES, TABLES, Run, Save, files_in, record_of
from vit_engine.cli import main
from vit_engine.report.painter import PANE_WIDTH

ALARM = (0xB3, 0x26, 0x1E)


def api(path: Path, **options: Any) -> ve.Features:
    loaded = ve.load_model(MODEL, device="cpu")
    prepared = ve.prepare_image(ve.open_image(path), loaded.spec, size=options.pop("size", 64))
    return ve.features(loaded, prepared, **options)


def test_one_picture_leaves_its_folder_and_the_tables(save: Save, features_of: Run) -> None:
    code, out, error = features_of(save("noise.png"), "--size", 64)
    assert (code, error) == (0, "")
    assert files_in(out) == sorted([*(f"noise/{name}" for name in PICTURE_FILES), *TABLES])
    with Image.open(out / "noise" / "pca.png") as sheet:
        assert sheet.width >= 2 * PANE_WIDTH
        assert not (np.asarray(sheet) == ALARM).all(axis=-1).any()


def test_arrays_are_those_of_the_api(save: Save, features_of: Run) -> None:
    path = save("noise.png")
    options = ["--size", 64, 96, "--layers", "-3,0", "--facet", "key", "--head", 1, "--query", "2,4"]
    assert features_of(path, *options)[0] == 0
    out = path.parents[1] / "out" / "noise"
    expected = api(path, size=(64, 96), layers=[0, -3], facet="key")
    arrays = np.load(out / "features.npz")
    deepest = max(expected.layers)
    pca = ve.pca_map(expected, layer=deepest, head=1)
    of_pca, of_norms = {"pca_components", "pca_explained", "pca_rgb"}, {"norms", "norms_prefix"}
    layers = {f"layer_{layer}" for layer in expected.layers}
    assert set(arrays) == layers | of_pca | of_norms | {"grid", "similarity", "similarity_grid"}
    for layer, values in expected.layers.items():
        assert arrays[f"layer_{layer}"].dtype == np.float16
        np.testing.assert_array_equal(arrays[f"layer_{layer}"], values)
    np.testing.assert_allclose(arrays["pca_components"], pca.components, atol=1e-5)
    similarity = ve.similarity_map(expected, (2, 4), layer=deepest, head=1)
    np.testing.assert_allclose(arrays["similarity"], similarity.values, atol=1e-6)
    np.testing.assert_allclose(arrays["norms"], ve.token_norms(expected, layer=deepest, head=1).values, rtol=1e-6)
    assert arrays["grid"].tolist() == [1, 4, 6, 16]
    assert (out / "similarity.png").exists()


def test_precision_and_foreground_are_as_asked(save: Save, features_of: Run) -> None:
    path = save("noise.png")
    code, out, _ = features_of(path, "--size", 64, "--layers", -1, "--precision", "float32", "--foreground", "low")
    assert code == 0
    arrays = np.load(out / "noise" / "features.npz")
    expected = api(path, layers=-1, precision="float32")
    deepest = expected.layer_number(-1)
    np.testing.assert_array_equal(arrays[f"layer_{deepest}"], expected.layers[deepest])
    np.testing.assert_array_equal(arrays["pca_foreground"], ve.pca_map(expected, foreground="low").foreground)


def test_norms_have_a_row_a_picture_and_layer(save: Save, features_of: Run) -> None:
    paths = [save("a.png", 1), save("b.png", 2)]
    code, out, _ = features_of(*paths, "--size", 64, "--layers", "1,3")
    assert code == 0
    table = pd.read_csv(out / "norms.csv")
    assert list(table) == ["picture", "layer", "median", "p5", "p95", "largest", "cls", "outliers"]
    assert table[["picture", "layer"]].to_numpy().tolist() == [["a", 1], ["a", 3], ["b", 1], ["b", 3]]
    tokens = api(paths[1], layers=[1, 3]).layers[3].astype(np.float64)
    lengths = np.sqrt((tokens**2).sum(axis=1))
    last = table.iloc[3]
    expected = [np.median(lengths[1:]), *np.percentile(lengths[1:], (5, 95)), lengths[1:].max(), lengths[0]]
    np.testing.assert_allclose(last[["median", "p5", "p95", "largest", "cls"]].to_numpy(float), expected, rtol=1e-5)
    assert last["outliers"] == (lengths[1:] > 3 * np.median(lengths[1:])).sum()


def test_run_json_says_how_to_repeat_the_run(save: Save, features_of: Run) -> None:
    path = save("noise.png")
    _, out, error = features_of(path, "--size", 64, "--layers", -1, "--seed", 7, model="random_vit_tiny_p16")
    assert "note: RANDOM WEIGHTS (seed 7): these features show an untrained model." in error
    record = record_of(out)
    assert record["model"] == record["spec"]["name"] == "random_vit_tiny_p16"
    assert (record["random"], record["seed"], record["layers"], record["size"]) == (True, 7, [11], 64)
    options = {"facet": "token", "head": None, "precision": "float16", "foreground": None, "query": None}
    options |= {"joint": False, "match": False, "ratio": None, "best": None, "device": "cpu"}
    assert {name: record[name] for name in options} == options
    (picture,) = record["pictures"]
    assert (picture["name"], picture["path"]) == ("noise", str(path))
    assert picture["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert picture["size"] == {"height": 64, "width": 80}
    assert picture["grid"] == {"prefix": 1, "rows": 4, "cols": 5, "patch_size": 16}
    assert len(picture["pca_explained"]) == 3
    assert (record["failed"], record["matches"]) == ([], None)
    assert record["versions"]["vit_engine"] == ve.__version__
    with Image.open(out / "noise" / "pca.png") as sheet:
        assert (np.asarray(sheet) == ALARM).all(axis=-1).sum() > 100


def test_a_folder_is_run_in_natural_order_and_its_other_files_are_ignored(
    save: Save, features_of: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save("img10.png", 1).parent
    save("img2.jpg", 2)
    save("Img1.webp", 3)
    (folder / "notes.txt").write_text("not a picture")
    (folder / "._img2.jpg").write_bytes(b"what macOS leaves")
    (folder / "inside").mkdir()
    loads, runs = [], []
    load, features = ve.load_model, ve.features
    monkeypatch.setattr(ve, "load_model", lambda *names, **options: loads.append(names) or load(*names, **options))
    monkeypatch.setattr(ve, "features", lambda *names, **options: runs.append(names) or features(*names, **options))
    code, out, error = features_of(folder, "--size", 48)
    assert (code, error) == (0, "")
    assert [picture["name"] for picture in record_of(out)["pictures"]] == ["Img1", "img2", "img10"]
    assert (len(loads), len(runs)) == (1, 3), "the model is loaded once, each picture runs once"


def test_pictures_of_a_folder_are_in_memory_one_at_a_time(
    save: Save, features_of: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [save(f"{number}.png", number) for number in range(3)]
    kept: list[weakref.ref[ve.Features]] = []
    features = ve.features

    def counted(*names: Any, **options: Any) -> ve.Features:
        assert [each() for each in kept] == [None] * len(kept)
        result = features(*names, **options)
        kept.append(weakref.ref(result))
        return result

    monkeypatch.setattr(ve, "features", counted)
    assert features_of(*paths, "--size", 48)[0] == 0
    assert len(kept) == 3


def test_json_is_all_of_stdout(save: Save, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [str(save("noise.png")), "--model", MODEL, "--size", "48", "--out", str(tmp_path / "out"), "--json"]
    assert main(["features", *arguments]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert sorted(document["files"]) == files_in(tmp_path / "out")
    assert all(Path(path).exists() for path in document["files"].values())
    assert captured.err == ""


@pytest.mark.parametrize(("count", "words"), [(0, "no outliers"), (1, "1 outlier"), (2, "2 outliers")])
def test_the_text_names_each_picture_and_its_files(
    count: int,
    words: str,
    save: Save,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    norms, outliers = ve.token_norms, ((0, 0), (1, 1))[:count]
    monkeypatch.setattr(
        ve, "token_norms", lambda *given, **options: replace(norms(*given, **options), outliers=outliers)
    )
    path = save("noise.png")
    out = path.parents[1] / "out"
    assert main(["features", str(path), "--model", MODEL, "--size", "64", "--out", str(out)]) == 0
    first, *files = capsys.readouterr().out.splitlines()
    assert first.startswith("noise: 4 × 5 patches, ")
    assert re.search(r" · three components explain \d+\.\d% of the variance · layer 5: median norm \d", first)
    assert first.endswith(f", {words} (over 3 × the median)")
    assert files == [str(out / name) for name in files_in(out)]


def test_joint_components_are_fitted_to_all_pictures(save: Save, features_of: Run) -> None:
    """With the signs that all layers of the first picture give; without layer 1, two of them would be others."""
    paths = [save("a.png", 1), save("b.png", 2, (84, 60)), save("c.png", 3)]
    code, out, _ = features_of(*paths, "--size", 64, "--layers", "3,1", "--joint")
    assert code == 0
    expected = ve.pca_map([api(path, layers=[1, 3]) for path in paths], layer=3)
    alone = ve.pca_map(api(paths[0], layers=[1, 3]), layer=3)
    for name, pca in zip("abc", expected, strict=True):
        arrays = np.load(out / name / "features.npz")
        np.testing.assert_allclose(arrays["pca_components"], pca.components, atol=1e-5)
        np.testing.assert_allclose(arrays["pca_rgb"], pca.rgb, atol=1e-5)
        assert {"layer_1", "layer_3"} <= set(arrays)
    assert abs(np.load(out / "a" / "features.npz")["pca_rgb"] - alone.rgb).max() > 0.01
    shares = [picture["pca_explained"] for picture in record_of(out)["pictures"]]
    np.testing.assert_allclose(shares, [expected[0].explained] * 3)


def test_too_many_pictures_to_fit_together_are_refused_before_the_run(
    save: Save, features_of: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [save(f"{number}.png", number) for number in range(3)]
    monkeypatch.setattr(ve, "memory_budget", lambda _: 100_000)
    monkeypatch.setattr(ve, "features", lambda *_, **__: pytest.fail("it ran"))
    code, out, error = features_of(*paths, "--size", 64, "--joint")
    assert (code, out.exists()) == (1, False)
    assert "components fitted to 3 pictures together (60 patches) need " in error
    assert "the memory budget is 100 kB" in error


def test_matches_are_those_of_the_api_and_pictures_may_differ_in_size(save: Save, features_of: Run) -> None:
    first, second = save("first.png", 4, (80, 96)), save("second.png", 4, (128, 100))
    code, out, _ = features_of(first, second, "--size", 64, "--layers", "3", "--match", "--ratio", 1, "--best", 4)
    assert code == 0
    every = ve.correspondences(api(first), api(second), layer=3, ratio=1)
    table = pd.read_csv(out / "matches.csv")
    assert len(table) == min(4, len(every)) > 1
    assert table[["first_row", "first_col"]].to_numpy().tolist() == every.first[:4].tolist()
    assert table[["second_row", "second_col"]].to_numpy().tolist() == every.second[:4].tolist()
    assert table["second_x_px"].tolist() == [(col + 0.5) * 16 for col in table["second_col"]]
    assert table["first_y_px"].tolist() == [(row + 0.5) * 16 for row in table["first_row"]]
    np.testing.assert_allclose(table["similarity"], every.similarity[:4], rtol=1e-5)
    np.testing.assert_allclose(table["ratio"], every.ratio[:4], rtol=1e-4, atol=1e-6)
    assert record_of(out)["matches"] == {"kept": len(table), "candidates": every.candidates}
    assert (out / "matches.png").exists()
    features_of(first, second, "--size", 64, "--match")
    assert record_of(out)["ratio"] == 0.8


def test_pictures_of_one_name_and_such_as_lead_elsewhere_get_names_of_their_own(save: Save, features_of: Run) -> None:
    paths = [save("cat.png"), save("cat.jpg"), save("Cat.bmp"), save("dots.png"), save("run.json.png")]
    paths[3] = paths[3].rename(paths[3].with_name("...png"))
    code, out, _ = features_of(*paths, "--size", 48)
    assert code == 0
    names = [picture["name"] for picture in record_of(out)["pictures"]]
    assert names == ["cat", "cat-2", "Cat-3", "picture", "run.json-2"]
    assert sorted(path.name for path in out.iterdir()) == sorted([*names, *TABLES])


def test_results_are_replaced_by_those_of_a_later_run(save: Save, features_of: Run) -> None:
    path = save("noise.png")
    for query in ("cls", "1,1"):
        code, out, _ = features_of(path, "--size", 48, "--query", query)
        assert code == 0
    assert record_of(out)["query"] == [1, 1]
    assert files_in(out) == sorted([*(f"noise/{name}" for name in [*PICTURE_FILES, "similarity.png"]), *TABLES])
