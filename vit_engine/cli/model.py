"""The model that a command runs: its arguments, loading it, and what is recorded of it."""

import argparse
from typing import Any

import vit_engine as ve
from vit_engine.cli import console
from vit_engine.progress import Progress
from vit_engine.report import attribution


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """--model, its weights and heads, and the size of its pictures."""
    add = parser.add_argument
    add(
        "--model",
        required=True,
        metavar="NAME",
        help="a name that `models` lists, a checkpoint, or ORG/NAME on the hub",
    )
    add("--weights", default="auto", metavar="auto|random|PATH", help="default: auto, the model's trained ones")
    add("--heads", type=console.positive, metavar="N", help="number of heads, where the checkpoint does not state it")
    size = "short side, or exact size, in pixels; default: the model's own size"
    add("--size", type=console.size, metavar="N|HEIGHT WIDTH", help=size)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """--device and --seed, of the model's run."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, …; default: auto")
    parser.add_argument("--seed", type=console.seed, default=0, metavar="N", help="of random weights; default: 0")


def load_model(arguments: argparse.Namespace, progress: Progress) -> ve.LoadedModel:
    options = {name: getattr(arguments, name) for name in ("weights", "heads", "device", "seed")}
    return ve.load_model(arguments.model, **options, progress=progress)


def model_record(loaded: ve.LoadedModel, seed: int) -> dict[str, Any]:
    """What another person needs to have the same model."""
    return attribution.model_record(loaded.spec, loaded.report, seed)


def note_model(record: dict[str, Any], shown: str) -> None:
    """What must be known of a model before its results are believed. shown: what they are, such as "these maps"."""
    if record["random"]:
        console.note(f"note: RANDOM WEIGHTS (seed {record['seed']}): {shown} show an untrained model.")
    for sentence in record["weights"]["assumed"]:
        console.note(f"note: assumed for the checkpoint, which does not state it: {sentence}")
