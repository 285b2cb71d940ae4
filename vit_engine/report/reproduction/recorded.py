"""What a run.json says, read and checked: the settings to repeat, and the numbers to compare with."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from vit_engine.analysis.comparison import MAX_PANES, Pane, Place, letter
from vit_engine.analysis.comparison.place import checked
from vit_engine.errors import SpecError
from vit_engine.report.record import FORMAT, VERSION, Size
from vit_engine.trace.statistics import STATISTICS
from vit_engine.trace.targets import Target, VectorTarget

_ROWS = 100_000  # of a table
_SIDE = 100_000  # pixels
_SHA256 = re.compile("[0-9a-f]{64}")
_PICTURE = re.compile(r"picture\.(png|jpg|webp|gif|bmp|tif)")

Row = dict[str, Any]


@dataclass(frozen=True)
class RunRecord:
    picture: str  # a file's name
    sha256: str  # of the picture's file
    pixels_sha256: str  # of its pixels; empty in bundles that hold the source file itself
    size: Size
    frame: tuple[int, int]
    panes: dict[int, Pane]  # by their number
    entries: dict[str, Row]  # of the panes by their name, as they stand in the file; so do the other rows
    targets: dict[int, Target]  # by the pane's number, of panes whose target is another picture
    reference: str
    point: Place | None
    keep: float
    statistic: str
    all_layers: bool
    models: dict[str, Row]
    versions: dict[str, str]
    device: str
    maps: list[Row]
    agreement: list[Row]
    side_by_side: list[Row]


def read_record(data: bytes) -> RunRecord:
    """A run.json; SpecError where it is none, or one that this version cannot read."""
    whole = _Part("run.json", _parsed(data))
    if "format" not in whole.value:
        raise SpecError(
            f"run.json is {_other_kind(whole.value)}: reproduce takes the run.json, the zip or the folder of a "
            "comparison, which `compare` writes and the page Compare exports."
        )
    if (whole.value.get("format"), whole.value.get("version")) != (FORMAT, VERSION):
        raise SpecError(
            f"run.json must be of a comparison, format {FORMAT!r} version {VERSION}; got "
            f"{str(whole.value.get('format'))[:40]!r} version {str(whole.value.get('version'))[:10]!r}. "
            "Only what `compare` wrote, or the page Compare exported, can be recomputed."
        )
    picture, numbers, entries = whole.part("picture"), whole.part("numbers"), _pane_parts(whole)
    return RunRecord(
        picture=picture.text("file", _PICTURE),
        sha256=picture.text("sha256", _SHA256),
        pixels_sha256=picture.text("pixels_sha256", _SHA256) if "pixels_sha256" in picture.value else "",
        size=_size(picture),
        frame=picture.pair("frame"),
        panes={number: Pane.parse(part.text("pane")) for number, part in entries.items()},
        targets={number: target for number, part in entries.items() if (target := _other_picture(part)) is not None},
        entries={part.value["name"]: part.value for part in entries.values()},
        reference=whole.text("reference", re.compile("[A-Z]")),
        point=_point(whole),
        keep=whole.number("keep"),
        statistic=_statistic(whole),
        all_layers=whole.value.get("all_layers") is True,
        models={part.text("model"): part.value for part in whole.parts("models", MAX_PANES)},
        versions={name: str(value)[:60] for name, value in whole.part("versions").value.items()},
        device=whole.text("device"),
        maps=numbers.rows("maps"),
        agreement=numbers.rows("agreement"),
        side_by_side=numbers.rows("side_by_side"),
    )


def _other_kind(value: Mapping[str, Any]) -> str:
    """What a run.json without a format is, by what its writers record."""
    if {"method", "predictions"} <= value.keys():
        return "of one map, as `attend` and the page Explore write it"
    if "facet" in value:
        return "of what tokens carry, as `features` writes it"
    return "of no comparison"


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise SpecError(f"run.json is no JSON that can be read: {error}.") from error


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _pane_parts(whole: "_Part") -> dict[int, "_Part"]:
    """Panes by number: those that could not be shown are left out."""
    letters = [letter(number) for number in range(MAX_PANES)]
    parts = whole.parts("panes", MAX_PANES)
    names = [part.text("name") for part in parts]
    if not names or names != sorted(set(names) & set(letters)):
        raise SpecError(f"panes of run.json must be named {letters[0]}..{letters[-1]}, in order; got {names}.")
    return {letters.index(name): part for name, part in zip(names, parts, strict=True)}


def _other_picture(pane: "_Part") -> Target | None:
    """The pane's target, where it is a picture that the bundle does not hold: what it was to the model is recorded."""
    if not isinstance(pane.value.get("target"), dict) or "vector" not in pane.value["target"]:
        return None
    target = pane.part("target")
    try:
        data = base64.b64decode(target.of("vector", str, "a text"), validate=True)
        vector = np.frombuffer(data, "<f4").astype(np.float32)
        return VectorTarget(vector, of=target.text("label"), written=target.text("name"))
    except ValueError as error:
        raise SpecError(f"vector of {target.where} must be float32 numbers in base64: {error}.") from error


def _size(picture: "_Part") -> Size:
    return picture.pair("size") if isinstance(picture.value.get("size"), list) else picture.whole("size", 1, _SIDE)


def _statistic(whole: "_Part") -> str:
    name = whole.text("statistic")
    if name not in STATISTICS:
        whole.fail("statistic", "one of the engine's")
    return name


def _point(whole: "_Part") -> Place | None:
    if whole.value.get("point") is None:
        return None
    expected = "two fractions in 0..1, or four of a region"
    parts = whole.of("point", list, expected)
    if not all(map(_is_number, parts)):
        whole.fail("point", expected)
    try:
        place = checked(tuple(map(float, parts)))
    except SpecError:
        whole.fail("point", expected)
    return None if isinstance(place, str) else place


@dataclass(frozen=True)
class _Part:
    """An object of the JSON, and where it stands. What is read from it is checked; SpecError where it is another."""

    where: str
    value: Any

    def __post_init__(self) -> None:
        if not isinstance(self.value, dict):
            raise SpecError(f"{self.where} must be an object; got {type(self.value).__name__}.")

    def fail(self, name: str, expected: str) -> NoReturn:
        raise SpecError(f"{name} of {self.where} must be {expected}; got {str(self.value.get(name))[:60]!r}.")

    def of(self, name: str, kind: type[Any], expected: str, *, length: int | None = None) -> Any:
        value: Any = self.value.get(name)
        if not isinstance(value, kind) or (length is not None and len(value) != length):
            self.fail(name, expected)
        return value

    def part(self, name: str) -> "_Part":
        return _Part(f"{name} of {self.where}", self.of(name, dict, "an object"))

    def parts(self, name: str, most: int) -> list["_Part"]:
        found = self.of(name, list, "a list")
        if len(found) > most:
            self.fail(name, f"a list of at most {most}")
        return [_Part(f"{name} of {self.where}", each) for each in found]

    def text(self, name: str, like: re.Pattern[str] | None = None) -> str:
        value = self.of(name, str, "a text")
        if len(value) > 1000 or (like is not None and not like.fullmatch(value)):
            self.fail(name, f"like {like.pattern}" if like else "a short text")
        return value

    def number(self, name: str) -> float:
        if not _is_number(self.value.get(name)):
            self.fail(name, "a number")
        return float(self.value[name])

    def whole(self, name: str, low: int, high: int) -> int:
        value = self.value.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.fail(name, f"a whole number in {low}..{high}")
        return int(value)

    def pair(self, name: str) -> tuple[int, int]:
        sides = self.of(name, list, "(height, width)", length=2)
        pair = _Part(f"{name} of {self.where}", dict(zip(("height", "width"), sides, strict=True)))
        return pair.whole("height", 1, _SIDE), pair.whole("width", 1, _SIDE)

    def rows(self, name: str) -> list[Row]:
        rows = [part.value for part in self.parts(name, _ROWS)]
        cells = (value for row in rows for value in row.values())
        if not all(value is None or isinstance(value, str) or _is_number(value) for value in cells):
            self.fail(name, "rows of numbers and texts")
        return rows


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300  # nor NaN


def heads_of(model: Mapping[str, Any]) -> int:
    return _Part(f"model {str(model['model'])[:60]!r}", model).part("spec").whole("heads", 1, 10_000)


def weights_of(model: Mapping[str, Any]) -> tuple[str, str]:
    """The sha256 of a recorded model's weights, and the part of their file; empty for random weights."""
    weights = _Part(f"model {str(model['model'])[:60]!r}", model).part("weights")
    return weights.text("sha256") if weights.value.get("sha256") is not None else "", weights.text("part")


def was_in_memory(model: Mapping[str, Any]) -> bool:
    """Whether a recorded model was a torch.nn.Module, of which no file is known."""
    weights = model.get("weights")
    return isinstance(weights, dict) and weights.get("container") == "module"


def seed_of(model: Mapping[str, Any]) -> int:
    """Of random weights; 0 for others."""
    part = _Part(f"model {str(model['model'])[:60]!r}", model)
    return 0 if model.get("seed") is None else part.whole("seed", 0, 2**63 - 1)
