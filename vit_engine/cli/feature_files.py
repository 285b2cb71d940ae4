"""What `features` writes: pictures run one after another, and no more is kept of each than what comes later needs."""

import argparse
import contextlib
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

import vit_engine as ve
from vit_engine.analysis.tokens.pca import sign_references
from vit_engine.cli.model import load_model
from vit_engine.image import target_size
from vit_engine.progress import Progress
from vit_engine.report.tables import as_csv
from vit_engine.report.token_arrays import token_arrays
from vit_engine.report.token_sheets import token_sheet
from vit_engine.report.token_views import MatchesView, NormsView, PcaView, SimilarityView, TokenPicture, TokenView
from vit_engine.resources.budget import BUDGET_VARIABLE, format_bytes
from vit_engine.trace.features import head_columns
from vit_engine.trace.inputs import Size

NORMS, MATCHES, MATCHES_SHEET, RECORD = "norms.csv", "matches.csv", "matches.png", "run.json"
RESERVED = (NORMS, MATCHES, MATCHES_SHEET, RECORD)  # no folder of a picture may be called so
ARRAYS = "features.npz"
_FIT_BYTES = 5 * 8  # components are fitted in float64: patches, all of them in one array, centred, squared, as colours


@dataclass(frozen=True, eq=False)
class PictureResult:
    """A picture that was run. What is kept of it is small, but for its deepest layer where a later step needs it."""

    name: str
    record: dict[str, Any]  # of run.json
    norms: list[dict[str, Any]]  # a row a layer
    picture: TokenPicture | None  # of the deepest layer alone


@dataclass
class FeatureRun:
    """A run over all pictures, and what came of it; its files are in `folder`."""

    arguments: argparse.Namespace
    folder: Path
    loaded: ve.LoadedModel | None = None  # None as long as no picture could be opened
    done: list[PictureResult] = field(default_factory=list)
    failed: list[tuple[str, ve.VitEngineError]] = field(default_factory=list)  # (path, why)
    matches: ve.Correspondences | None = None

    def write(self, pictures: Mapping[str, str], progress: Progress) -> None:
        """Run pictures, paths by name: a folder each, then what is of all of them.

        A picture that cannot be used is left out and listed. What concerns all of them raises before the first is run.
        """
        for place, (name, path) in enumerate(pictures.items()):
            share = _share(progress, place, len(pictures), name)
            try:
                opened = ve.open_image(path)
            except ve.ImageError as error:
                self.failed.append((path, error))
                continue
            loaded = self.loaded or self._load(list(pictures.values())[place:], share)
            try:
                self.done.append(self._run(name, path, opened, loaded, share))
            except ve.VitEngineError as error:
                shutil.rmtree(self.folder / name, ignore_errors=True)
                self.failed.append((path, error))
        if self.done:
            self._write_tables()

    def _load(self, paths: list[str], progress: Progress) -> ve.LoadedModel:
        """The model, once; VitEngineError for what no picture can have of it."""
        asked, self.loaded = self.arguments, load_model(self.arguments, progress)
        self.loaded.spec.layer_numbers(asked.layers)
        head_columns(self.loaded.spec, asked.facet, asked.head)
        if asked.joint:
            _check_joint_memory(self.loaded, paths, asked.size)
        return self.loaded

    def _run(
        self, name: str, path: str, opened: Image.Image, loaded: ve.LoadedModel, progress: Progress
    ) -> PictureResult:
        asked, folder = self.arguments, self.folder / name
        prepared = ve.prepare_image(opened, loaded.spec, size=asked.size)
        if asked.query is not None:
            prepared.grid.query_tokens(asked.query)  # a query that is not there fails before the run
        options = {option: getattr(asked, option) for option in ("layers", "facet", "precision")}
        features = ve.features(loaded, prepared, **options, progress=progress)
        if asked.joint and not self.done:
            sign_references(features, asked.head)  # all its layers say how to turn axes, and only the deepest is kept
        folder.mkdir()
        append_arrays(folder / ARRAYS, token_arrays(features))
        picture = TokenPicture(_deepest(features), prepared.pixels, Path(path).name)
        norms = [ve.token_norms(features, layer=layer, head=asked.head) for layer in sorted(features.layers)]
        _write_view(folder / "norms.png", NormsView((picture,), (norms[-1],)))
        append_arrays(folder / ARRAYS, token_arrays(norms=norms[-1]))
        if asked.query is not None:
            self._write_similarity(folder, picture)
        result = PictureResult(
            name,
            record=_picture_record(name, path, prepared, features),
            norms=[_norms_row(name, each) for each in norms],
            picture=picture if asked.joint or asked.match else None,
        )
        if not asked.joint:
            pca = ve.pca_map(features, foreground=asked.foreground, **self._where(picture))
            self._write_pca(result, picture, pca)
        return result

    def _write_tables(self) -> None:
        """What is of all pictures together."""
        asked, pictures = self.arguments, [each.picture for each in self.done if each.picture is not None]
        if asked.joint:
            several = [picture.features for picture in pictures]
            maps = ve.pca_map(several, foreground=asked.foreground, **self._where(pictures[0]))
            for result, picture, pca in zip(self.done, pictures, maps, strict=True):
                self._write_pca(result, picture, pca)
        if asked.match and len(pictures) == 2:
            self._write_matches(pictures[0], pictures[1])
        norms = pd.DataFrame([row for result in self.done for row in result.norms])
        (self.folder / NORMS).write_bytes(as_csv(norms))

    def _where(self, picture: TokenPicture) -> dict[str, Any]:
        """The layer and the head that are looked at."""
        return {"layer": max(picture.features.layers), "head": self.arguments.head}

    def _write_pca(self, result: PictureResult, picture: TokenPicture, pca: ve.PcaMap) -> None:
        result.record["pca_explained"] = list(pca.explained)
        append_arrays(self.folder / result.name / ARRAYS, token_arrays(pca=pca))
        fitted = len(self.done) if self.arguments.joint else 1
        _write_view(self.folder / result.name / "pca.png", PcaView((picture,), (pca,), fitted=fitted))

    def _write_similarity(self, folder: Path, picture: TokenPicture) -> None:
        query = self.arguments.query
        similarity = ve.similarity_map(picture.features, query, **self._where(picture))
        _write_view(folder / "similarity.png", SimilarityView((picture,), (similarity,), query))
        append_arrays(folder / ARRAYS, token_arrays(similarity=similarity))

    def _write_matches(self, first: TokenPicture, second: TokenPicture) -> None:
        options = {option: getattr(self.arguments, option) for option in ("ratio", "best")}
        self.matches = ve.correspondences(first.features, second.features, **self._where(first), **options)
        (self.folder / MATCHES).write_bytes(as_csv(_matches_table(self.matches)))
        _write_view(self.folder / MATCHES_SHEET, MatchesView((first, second), self.matches))


def _share(progress: Progress, place: int, count: int, name: str) -> Progress:
    """The progress of one picture of several."""
    named = f"{name}: " if count > 1 else ""
    return lambda fraction, message: progress((place + fraction) / count, named + message)


def _deepest(features: ve.Features) -> ve.Features:
    """With the deepest layer alone, and what was computed of all."""
    layer = max(features.layers)
    return replace(features, layers={layer: features.layers[layer]})


def _check_joint_memory(loaded: ve.LoadedModel, paths: Sequence[str], size: Size | None) -> None:
    """ResourceError where the pictures' deepest layers, all at once, are more than the budget."""
    patches = pixels = 0
    for path in paths:
        with contextlib.suppress(ve.ImageError):  # it is told when its turn comes
            opened = ve.open_image(path)
            grid = loaded.spec.cropped_grid(*target_size((opened.height, opened.width), loaded.spec, size))
            patches, pixels = patches + grid.patches, pixels + grid.height * grid.width
    needed = patches * loaded.spec.dim * (4 + _FIT_BYTES) + 3 * pixels
    budget = ve.memory_budget("cpu")
    if needed > budget:
        raise ve.ResourceError(
            f"components fitted to {len(paths)} pictures together ({patches:,} patches) need {format_bytes(needed)}; "
            f"the memory budget is {format_bytes(budget)}. Use a smaller size, fewer pictures, or no --joint; or set "
            f"{BUDGET_VARIABLE} where more is free."
        )


def append_arrays(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Arrays by name into an NPZ file, which is made where there is none; nothing that is in it is read again."""
    with zipfile.ZipFile(file, "a") as archive:
        for name, values in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, values, allow_pickle=False)


def _write_view(file: Path, view: TokenView) -> None:
    file.write_bytes(token_sheet(view)["png"])


def _picture_record(name: str, path: str, prepared: ve.PreparedImage, features: ve.Features) -> dict[str, Any]:
    grid = prepared.grid
    return {
        "name": name,
        "path": path,
        "sha256": prepared.sha256,
        "size": {"height": grid.height, "width": grid.width},
        "grid": asdict(grid),
        "seconds": features.seconds,
    }


def _norms_row(name: str, norms: ve.TokenNorms) -> dict[str, Any]:
    """Of a layer, over its patches, but for "cls"; "outliers": how many are longer than norms.factor × the median."""
    low, high = np.percentile(norms.values, (5, 95))
    return {
        "picture": name,
        "layer": norms.layer,
        "median": norms.median,
        "p5": float(low),
        "p95": float(high),
        "largest": float(norms.values.max()),
        "cls": float(norms.prefix[0]),
        "outliers": len(norms.outliers),
    }


def _matches_table(matches: ve.Correspondences) -> pd.DataFrame:
    """A row a pair, the clearest first; places are patches from 0 and the pixels of their middles."""
    columns: dict[str, Any] = {}
    for name, places, grid in zip(("first", "second"), (matches.first, matches.second), matches.grids, strict=True):
        middles = (places + 0.5) * grid.patch_size
        columns |= {f"{name}_row": places[:, 0], f"{name}_col": places[:, 1]}
        columns |= {f"{name}_y_px": middles[:, 0], f"{name}_x_px": middles[:, 1]}
    return pd.DataFrame({**columns, "similarity": matches.similarity, "ratio": matches.ratio})
