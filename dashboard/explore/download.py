"""The large map as files: as it is drawn, its values, and everything with a record of the run."""

import json
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from dashboard import keys
from dashboard.explore.maps import Maps
from dashboard.explore.worth import section
from dashboard.explore.worth.figures import object_edges
from dashboard.explore.worth.texts import object_name
from dashboard.links import address
from dashboard.links.selection import Selection
from dashboard.links.worth import Box
from dashboard.services.checkpoints.paths import without_paths
from dashboard.services.faithfulness import FaithfulnessRequest
from dashboard.services.pointing import rank
from dashboard.shell.formatting import file_name
from vit_engine import ImageError, SpecError, pointing
from vit_engine.analysis.methods.options import read_options
from vit_engine.report.archive import RECORD, as_npz, as_zip
from vit_engine.report.attribution import (
    MapRun,
    map_arrays,
    map_caption,
    map_frame,
    map_record,
    map_tables,
    model_record,
)
from vit_engine.report.colours import Stops
from vit_engine.report.panels import WARNING
from vit_engine.report.sheets import map_sheet
from vit_engine.report.tables import as_csv

_PICTURES = ("png", "pdf", "svg")
_KINDS = {  # of a file: its media type, the key of its button, its title, and its help
    "png": (
        "image/png",
        keys.DOWNLOAD_MAP_PNG,
        "Picture (PNG)",
        "The map over its picture or beside it, in the colours of this page, twice as large, with its scale.",
    ),
    "pdf": ("application/pdf", keys.DOWNLOAD_MAP_PDF, "PDF", "The same to print: text and outlines are vectors."),
    "svg": ("image/svg+xml", keys.DOWNLOAD_MAP_SVG, "SVG", "The same to edit: text and outlines are vectors."),
    "csv": ("text/csv", keys.DOWNLOAD_MAP_CSV, "Values (CSV)", "One row a patch: row, col, value."),
    "zip": (
        "application/zip",
        keys.DOWNLOAD_MAP,
        "Everything (ZIP)",
        "The picture (PNG, PDF, SVG), the values, the maps of all heads as arrays (NPZ), run.json with model, "
        "method, target and query, and the curves and rankings of what the map is worth, where they are on this page.",
    ),
}


@dataclass(frozen=True, eq=False)
class MapFiles:
    """What is drawn, and what was chosen to draw it: all that a file needs, for it is made outside any session."""

    maps: Maps
    selection: Selection
    stops: Stops  # the colours
    mask: np.ndarray | Box | None = None  # of the object that the map is held to on the page
    link: str = ""  # what reopens the view

    @property
    def name(self) -> str:
        """Of the files, without an ending."""
        maps, depends_on = self.maps, self.maps.method.depends_on
        layer = f"-layer-{self._layer}" if "layer" in depends_on else ""
        head = f"-head-{self.selection.head}" if "head" in depends_on else ""
        return file_name(f"{maps.method.name}{layer}{head}-{maps.asked.spec.name}")

    def file(self, kind: str) -> bytes:
        """kind: of _KINDS."""
        if kind in _PICTURES:
            return self._pictures(self._run(), kind)[kind]
        return as_csv(map_frame(self.maps.large)) if kind == "csv" else as_zip(self.files())

    def files(self) -> dict[str, bytes]:
        """Everything, by the files' names."""
        run = self._measured(self._run())
        arrays = {**map_arrays(run), "map": self.maps.large.values}
        return {
            **{f"map.{kind}": data for kind, data in self._pictures(run, *_PICTURES).items()},
            "map.csv": as_csv(map_frame(self.maps.large)),
            "maps.npz": as_npz(arrays),
            RECORD: (json.dumps(self._record(run), indent=2, ensure_ascii=False) + "\n").encode(),
            **{name: as_csv(table) for name, table in map_tables(run).items()},
        }

    @property
    def _layer(self) -> int:
        return list(self.maps.attributions)[self.maps.row]

    def _run(self) -> MapRun:
        maps, asked = self.maps, self.maps.asked
        options = read_options(maps.method.options, dict(asked.options), asked.spec, maps.method.name)
        gradients = asked.gradients
        made: dict[str, Any] = {} if gradients is None else {"score": gradients.score, "seconds": gradients.seconds}
        return MapRun(
            trace=asked.analysis.trace,
            method=maps.method,
            options=options,
            query=asked.query,
            attributions=maps.attributions,
            layer=self._layer,
            target=maps.target,
            **made,
        )

    def _measured(self, run: MapRun) -> MapRun:
        """With what of the map's worth is on the page."""
        asked, selection = self.maps.asked, self.selection
        curves = FaithfulnessRequest(asked, self.maps.large, selection.baseline, int(selection.steps)).kept
        run = run if curves is None else replace(run, faithfulness=curves.map, randomised=curves.randomised)
        if self.mask is None or selection.object is None:
            return run
        mass = (self.maps.large.values > 0).any()
        ranking = rank(asked, self.mask, name=selection.object, every=selection.ranked == "all")
        return replace(run, ranking=ranking, pointing=pointing(self.maps.large, self.mask) if mass else None)

    def _record(self, run: MapRun) -> dict[str, Any]:
        asked, selection, report = self.maps.asked, self.selection, self.maps.asked.analysis.report
        image = {"name": asked.request.picture.name, "credit": asked.request.picture.credit}
        device = str(next(iter(run.trace.layers.values())).queries.device)
        places: dict[str, Any] = {"layers": list(run.attributions), "device": device, "mask": selection.object}
        report = replace(report, source=without_paths(report.source))
        return {
            **model_record(asked.spec, report, report.seed),
            **map_record(run, image=image, size=asked.request.size, **places),
            "layer": run.layer if "layer" in run.method.depends_on else None,
            "head": selection.head if "head" in run.method.depends_on else None,
            "map": self.maps.large.label,
            "unit": self.maps.large.unit,
            "link": self.link,
        }

    def _pictures(self, run: MapRun, *kinds: str) -> dict[str, bytes]:
        maps, selection, grid = self.maps, self.selection, self.maps.large.grid
        edges = [] if self.mask is None else object_edges(self.mask)
        return map_sheet(
            maps.asked.analysis.pixels,
            maps.large,
            limit=maps.limit,
            stops=self.stops,
            opacity=0.0 if maps.note else selection.opacity / 100,
            beside=selection.view == "beside",
            caption=" · ".join([map_caption(run, maps.asked.request.picture.title), *self._marks()]),
            warning=WARNING if run.trace.random else "",
            marked=maps.patch if "query" in maps.method.depends_on else None,
            boxed=tuple(maps.outlined),
            edges=tuple(edge * (grid.height, grid.width) for edge in edges),
            signed=maps.method.signed,
            kinds=kinds,
        )

    def _marks(self) -> list[str]:
        """What is outlined, but for the query and what the target's name says."""
        words = ["outlined: sinks set aside"] if self.maps.aside.any() else []
        if self.mask is None or self.selection.object is None:
            return words
        return [*words, f"dashed: {object_name(self.selection.object)}"]


def popover(maps: Maps, selection: Selection) -> None:
    """The files of the large map; each is made once it is asked for."""
    mask = section.object_of(maps.asked, selection)
    known = None if isinstance(mask, SpecError | ImageError) else mask
    files = MapFiles(maps, selection, maps.stops, known, address.whole())
    with st.popover("Download", icon=":material/download:", key=keys.MAP_FILES, type="tertiary"):
        pictures = st.container(horizontal=True, key="map_pictures")
        for kind, (media, key, title, words) in _KINDS.items():
            options: dict[str, Any] = {"key": key, "help": words, "on_click": "ignore", "type": "tertiary"}
            with pictures if kind in _PICTURES else nullcontext():
                st.download_button(title, partial(files.file, kind), f"{files.name}.{kind}", media, **options)
