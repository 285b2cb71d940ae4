"""What a checkpoint is, before it becomes a model."""

from dataclasses import dataclass
from pathlib import Path

import vit_engine as ve
from vit_engine.weights.convert import convert
from vit_engine.weights.identify import advice, choices, identify, known_heads, published
from vit_engine.weights.read import read_checkpoint


@dataclass(frozen=True)
class Inspection:
    report: ve.LoadReport
    spec: ve.ModelSpec | None
    heads_choices: tuple[int, ...] = ()
    advice: str = ""


def inspect_checkpoint(path: Path, *, heads: int | None = None) -> Inspection:
    converted = convert(read_checkpoint(path))
    if heads is None and known_heads(converted, published(converted)) is None:
        report = converted.report(converted.spec(1), heads_from="")
        return Inspection(report, None, choices(converted), advice(converted))
    spec, said_by = identify(converted, heads=heads)
    converted.assemble(spec)
    return Inspection(converted.report(spec, heads_from=said_by), spec)
