"""The bundle of a comparison: figures, page, tables, maps and record, as a zip or in a folder."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from vit_engine.analysis.comparison import Comparison, PaneResult
from vit_engine.analysis.maps.agreement import difference, no_difference
from vit_engine.errors import SpecError
from vit_engine.image import as_png, pixels_sha256
from vit_engine.report.archive import RECORD, as_npz
from vit_engine.report.document import document
from vit_engine.report.panels import Panel, panels
from vit_engine.report.record import Size, record
from vit_engine.report.sheets import comparison_sheet
from vit_engine.report.style import Style, Zoom
from vit_engine.report.tables import as_csv, tables
from vit_engine.report.titles import caption
from vit_engine.trace.attention_map import AttentionMap

PICTURE = "picture.png"
KINDS = ("png", "pdf", "svg")  # of the sheet: for slides and pages, for papers


def files(
    comparison: Comparison,
    style: Style,
    *,
    picture: Image.Image,
    size: Size,
    statistic: str,
    all_layers: bool,
    link: str = "",
    zoom: Zoom | None = None,
    drawn: Sequence[Panel] | None = None,
    faithfulness: pd.DataFrame | None = None,
) -> dict[str, bytes]:
    """What a bundle holds, by name.

    picture: as open_image() returns it; its pixels are written, and nothing else that its file says, such as where
    it was taken and by whom. size: the working size that was asked for, a short side or (height, width).
    statistic, all_layers: as in head_table(). link: what reopens the view. zoom: the part that is shown. drawn: the
    panes as they are shown, those without a map among them; by default those of the comparison. faithfulness: a
    faithfulness_table(), where it was measured. SpecError where the picture is not the comparison's.
    """
    found, expected = picture.info.get("sha256"), comparison.results[0].trace.image_sha256
    if found != expected:
        raise SpecError(f"the picture of a bundle must be the comparison's, sha256 {expected}; got {found}.")
    pixels = np.asarray(picture)
    png = as_png(pixels)
    # The first is of the bundle's own file, which no other has. The second is of any file of the same pixels.
    sha256 = {"sha256": hashlib.sha256(png).hexdigest(), "pixels_sha256": pixels_sha256(pixels)}
    written = tables(comparison, statistic=statistic, all_layers=all_layers)
    if faithfulness is not None:
        written["faithfulness.csv"] = faithfulness
    asked: dict[str, Any] = {"statistic": statistic, "link": link, "zoom": zoom, "tables": written}
    run = record(comparison, style, picture={"file": PICTURE, **sha256, "size": size}, all_layers=all_layers, **asked)
    drawn = panels(comparison, style) if drawn is None else drawn
    view: dict[str, Any] = {"frame": comparison.frame, "opacity": style.opacity, "zoom": zoom, "kinds": KINDS}
    sheet = comparison_sheet(drawn, caption=caption(comparison, style), **view)
    return {
        "comparison.html": document(drawn, comparison, style, **asked).encode(),
        **{f"comparison.{kind}": data for kind, data in sheet.items()},
        "maps.npz": as_npz(arrays(comparison)),
        RECORD: (json.dumps(run, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode(),
        PICTURE: png,
        **{name: as_csv(table) for name, table in written.items()},
    }


def arrays(comparison: Comparison) -> dict[str, np.ndarray]:
    """The maps by name: "A" as it is shown, "A_heads" of all heads, "A_grid"; "B_minus_A" and its grid.

    Of principal components "A_components" in the place of heads, their colours "A_rgb", and no difference. Maps are
    float32 (rows, cols), (heads, rows, cols) or (3, rows, cols), colours (rows, cols, 3) in 0..1; grids (prefix tokens,
    rows, cols, patch size in pixels).
    """
    found: dict[str, np.ndarray] = {}
    base = comparison.base
    for one in comparison.results:
        found |= {**_map(one.name, one.map), **_made_of(one)}
    for one in comparison.results:
        if one is not base and not no_difference(one.map, base.map):
            found |= _map(f"{one.name}_minus_{base.name}", difference(one.map, base.map))
    return found


def _made_of(one: PaneResult) -> dict[str, np.ndarray]:
    if one.pca is None:
        return {f"{one.name}_heads": one.heads}
    return {f"{one.name}_components": one.heads, f"{one.name}_rgb": one.pca.rgb}


def _map(name: str, shown: AttentionMap) -> dict[str, np.ndarray]:
    grid = shown.grid
    return {name: shown.values, f"{name}_grid": np.array([grid.prefix, grid.rows, grid.cols, grid.patch_size])}
