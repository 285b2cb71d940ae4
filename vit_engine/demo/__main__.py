"""python -m vit_engine.demo: train the demo models, evaluate them, and draw scenes; the model card has examples."""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

from vit_engine.cli import console
from vit_engine.demo.evaluation import load_candidates
from vit_engine.demo.report import as_json, evaluate, markdown
from vit_engine.demo.scenes import Size, draw_scene
from vit_engine.demo.training import RECIPES, Trainer
from vit_engine.registry.shapes import CLASSES

SMALLEST_SIDE = 32  # pixels: below it outlines are blurs


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, without the program's name, and return its exit code."""
    return console.guarded(lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> None:
    arguments = _parser().parse_args(console.join_values(argv, {"--size": 2}))
    arguments.command(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vit_engine.demo", description="The demo models and their scenes.", allow_abbrev=False
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands.add_parser("train", help="train a demo model; goes on where it stopped", allow_abbrev=False))
    _add_evaluate(commands.add_parser("evaluate", help="print the model card's tables", allow_abbrev=False))
    _add_scenes(commands.add_parser("scenes", help="draw scenes to PNG files", allow_abbrev=False))
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--patch", type=int, choices=sorted(RECIPES), required=True, help="patch size in pixels")
    parser.add_argument("--folder", type=Path, default=Path(), metavar="DIR", help="of checkpoint and weights")
    parser.add_argument("--steps", type=console.positive, metavar="N", help="in place of the recipe's number")
    parser.add_argument("--threads", type=console.positive, metavar="N", help="one makes runs repeat bit for bit")
    parser.set_defaults(command=_train)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--patch", type=int, choices=sorted(RECIPES), default=16, help="patch size in pixels; default: 16"
    )
    which.add_argument("--all", action="store_true", help="all demo models")
    parser.add_argument("--scenes", type=console.positive, default=1000, metavar="N", help="default: 1000")
    parser.add_argument("--sizes", type=console.positive, nargs="+", default=[96, 128, 224], metavar="N", help="pixels")
    parser.add_argument("--weights", type=Path, metavar="PATH", help="weights or training checkpoint, not the packaged")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(command=_evaluate, wrong_usage=parser.error)


def _add_scenes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=console.positive, required=True, metavar="N")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="made if it is not there")
    parser.add_argument("--size", type=_scene_size, default=(128, 128), metavar="N|HEIGHT WIDTH", help="pixels")
    parser.add_argument("--seed", type=console.seed, default=0, metavar="S", help="of the first scene; default: 0")
    parser.set_defaults(command=_scenes)


def _scene_size(text: str) -> Size:
    asked = console.size(text)
    height, width = (asked, asked) if isinstance(asked, int) else asked
    if min(height, width) < SMALLEST_SIDE:
        raise argparse.ArgumentTypeError(f"expected sides of at least {SMALLEST_SIDE} px, got {height}×{width}")
    return height, width


def _train(arguments: argparse.Namespace) -> None:
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = RECIPES[arguments.patch]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(replace(recipe, steps=arguments.steps or recipe.steps), arguments.folder)
    trainer.run()
    name = f"{recipe.name}.safetensors"
    with console.staged(arguments.folder) as scratch:
        trainer.export(scratch / name)
    data = (arguments.folder / name).read_bytes()
    console.emit(f"{arguments.folder / name}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


def _evaluate(arguments: argparse.Namespace) -> None:
    if arguments.all and arguments.weights:
        arguments.wrong_usage("--weights belongs to one model: give --patch with it, not --all")
    evaluations = [
        evaluate(patch, load_candidates(patch, arguments.weights), scenes=arguments.scenes, sizes=arguments.sizes)
        for patch in (sorted(RECIPES, reverse=True) if arguments.all else [arguments.patch])
    ]
    if arguments.json:
        console.emit_json([as_json(evaluation) for evaluation in evaluations])
        return
    console.emit("\n\n".join(markdown(evaluation) for evaluation in evaluations))


def _scenes(arguments: argparse.Namespace) -> None:
    height, width = arguments.size
    records = []
    with console.staged(arguments.out) as scratch:
        for seed in range(arguments.seed, arguments.seed + arguments.count):
            scene = draw_scene(seed, arguments.size)
            file = f"scene_{seed:06d}.png"
            Image.fromarray(scene.pixels).save(scratch / file)
            records.append({"file": file, "seed": seed, "labels": scene.names})
        contents = {"height": height, "width": width, "classes": CLASSES, "scenes": records}
        (scratch / "labels.json").write_text(json.dumps(contents, indent=2) + "\n", encoding="utf-8")
    console.emit(f"{arguments.out}: {arguments.count} scenes and labels.json")


if __name__ == "__main__":
    sys.exit(main())
