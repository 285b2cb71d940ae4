"""Pointing: whether a map lies on an object that a mask marks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from vit_engine.analysis.methods import METHODS, RAW, Attribution, Method, Value, method_among
from vit_engine.analysis.run import Run, Traced
from vit_engine.analysis.worth.masks import Mask, mask_coverage
from vit_engine.errors import SpecError
from vit_engine.grid import Query
from vit_engine.trace.attention_map import AttentionMap, Quantity
from vit_engine.trace.targets import Target

HIT_COVERAGE = 0.25  # of a patch: more of it in the mask is a hit


@dataclass(frozen=True)
class Pointing:
    """How a map lies on a mask. Of a signed map its positive part counts."""

    share: float  # 0..1: of the map's mass, what lies inside
    area: float  # 0..1: the mask's share of the picture
    gain: float  # share / area: 1 is what a map that sees nothing gets
    hit: bool  # whether the largest value lies inside (the pointing game)
    iou: float  # 0..1: intersection over union of mask and the patches above a threshold, at the best threshold
    threshold: float  # that threshold, in the map's unit: the smallest value that is kept
    kept: float  # 0..1: the share of the mass that these patches hold


def pointing(map: AttentionMap, mask: Mask) -> Pointing:
    """How much of a map lies inside a mask, whether its maximum does, and how well it cuts the mask out.

    mask: bool (height, width), in pixels of the prepared picture, or a box (y0, x0, y1, x1), fractions of its height
    and width in 0..1; patches that it covers in part count in part. hit: whether more than a quarter of the patch with
    the largest value lies inside, or no patch lies inside more; of equal largest ones all must (the pointing game,
    Zhang et al. 2018, arXiv 1608.00507, whose tolerance is 15 px). iou: by area, over all thresholds that there are.

    Raises SpecError for a mask of another size, an empty one and one of the whole picture, and for a map without mass:
    of values that are not finite, or of which none is above 0, or of a principal component.
    """
    if not isinstance(map, AttentionMap):
        raise SpecError(f"the map must be an AttentionMap, as attribute() gives it; got {type(map).__name__}.")
    coverage = mask_coverage(mask, map.grid).ravel()
    if problem := _no_mass(map):
        raise SpecError(f"{map.label!r} points nowhere: {problem}.")
    return _pointing(map.values, coverage)


def rank_pointing(
    run: Traced,
    mask: Mask,
    *,
    methods: Sequence[str] = (RAW,),
    layers: str | int | Sequence[int] = "all",
    target: Target | int | str | None = None,
    query: Query = "cls",
    options: Mapping[str, Mapping[str, Value]] = MappingProxyType({}),
) -> pd.DataFrame:
    """Which head finds this? Every head of every layer by pointing(), the largest share of its mass inside first.

    The mask is the same for all, so the order by share is that by gain (share / area, the enrichment), too: gain says
    how much better than an even map a head is, and is what to compare between masks.

    run: or a trace alone, which is enough for methods that read attention. methods: names in METHODS; one that has no
    map of each head has one row, of the deepest of the layers. layers: "all" that were traced, one or several; negative
    from the last. target, query: as in Method.attribute(). options: of each method, by its name. Columns: method,
    layer, head (missing where the method does not depend on it), and the fields of Pointing. Of equal shares the
    larger iou stands first, then the order of the methods, layers and heads; a map without mass stands last, with NaN
    and hit False.

    Raises SpecError for a mask as pointing() does, for options of a method that is not asked for, and for what
    Method.attribute() does.
    """
    run = Run.of(run)
    coverage = mask_coverage(mask, run.trace.grid).ravel()
    asked = _methods(methods)
    _check_options(options, asked)
    numbers = sorted(run.trace.layers if layers == "all" else run.trace.spec.layer_numbers(layers))
    choices: dict[str, Any] = {"query": query, "target": target}
    return rank_attributions(
        (
            (method, layer, method.attribute(run, layer=layer, **choices, options=options.get(method.name, {})))
            for method in asked
            for layer in (numbers if method.per_head else numbers[-1:])
        ),
        coverage,
    )


def rank_attributions(
    attributions: Iterable[tuple[Method, int, Attribution]], coverage: Float[np.ndarray, "patches"]
) -> pd.DataFrame:
    """rank_pointing() of maps that are there already, each with its method and layer. coverage: of mask_coverage()."""
    rows = [row for each in attributions for row in _rows(*each, coverage)]
    frame = pd.DataFrame(rows).astype({"layer": "Int64", "head": "Int64"})
    return frame.sort_values(["share", "iou"], ascending=False, kind="stable", na_position="last", ignore_index=True)


def _methods(names: Sequence[str]) -> list[Method]:
    """Those of these names, in METHODS."""
    if isinstance(names, str):
        raise SpecError(f"methods must be a list of names; got {names!r} alone. Write [{names!r}].")
    if not isinstance(names, Iterable):
        raise SpecError(f"methods must be a list of names, as ['raw']; got {names!r}.")
    asked = [method_among(METHODS, name) for name in names]
    if not asked:
        raise SpecError("methods must name at least one method; got none.")
    return asked


def _check_options(options: Mapping[str, object], asked: Sequence[Method]) -> None:
    names = [method.name for method in asked]
    given = options if isinstance(options, Mapping) else [options]
    unknown = ", ".join(repr(name) for name in given if name not in names)  # in the order in which they are given
    if unknown:
        raise SpecError(
            f"options must be by method, as {{{names[0]!r}: {{…}}}}, and of the methods that are asked for, "
            f"{', '.join(names)}; got {unknown}."
        )


def _rows(method: Method, layer: int, attribution: Attribution, coverage: np.ndarray) -> Iterator[dict[str, Any]]:
    for head, values in enumerate(attribution.heads if method.per_head else [attribution.map.values]):
        where = {"layer": layer, "head": head}
        place = {name: number if name in method.depends_on else None for name, number in where.items()}
        yield {"method": method.name} | place | _fields(values, coverage)


def _fields(values: np.ndarray, coverage: np.ndarray) -> dict[str, Any]:
    """Of a map without mass NaNs: a ranking has a place for it."""
    if np.isfinite(values).all() and (values > 0).any():
        return asdict(_pointing(values, coverage))
    nothing = dict.fromkeys(("share", "area", "gain", "hit", "iou", "threshold", "kept"), float("nan"))
    return nothing | {"area": float(coverage.mean()), "hit": False}


def _pointing(values: np.ndarray, coverage: np.ndarray) -> Pointing:
    masses = values.astype(np.float64).clip(min=0).ravel()
    share = float(masses @ coverage / masses.sum())
    largest = coverage[masses == masses.max()].min()
    iou, threshold = _best_overlap(masses, coverage)
    return Pointing(
        share=share,
        area=float(coverage.mean()),
        gain=share / float(coverage.mean()),
        hit=bool(largest > HIT_COVERAGE or largest == coverage.max()),
        iou=iou,
        threshold=threshold,
        kept=float(masses[masses >= threshold].sum() / masses.sum()),
    )


def _best_overlap(masses: np.ndarray, coverage: np.ndarray) -> tuple[float, float]:
    """The largest intersection over union of the mask and the patches of at least a value, and that value.

    Of equal overlaps the one of the fewest patches.
    """
    descending = np.argsort(-masses, kind="stable")
    values, inside = masses[descending], np.cumsum(coverage[descending])
    kept = np.arange(1, len(values) + 1)
    overlaps = inside / (kept + coverage.sum() - inside)
    ends = np.append(values[1:] < values[:-1], True)  # patches of one value are kept together
    best = int(np.argmax(np.where(ends, overlaps, -1)))
    return float(overlaps[best]), float(values[best])


def _no_mass(shown: AttentionMap) -> str:
    if shown.quantity is Quantity.FITTED:
        return "a principal component has no mass"
    if not np.isfinite(shown.values).all():
        return "not all of its values are finite"
    return "" if (shown.values > 0).any() else "no value of it is above 0"
