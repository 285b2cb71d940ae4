"""python -m vit_engine: the calls of the Python API from a shell, and no logic of its own.

    python -m vit_engine models
    python -m vit_engine estimate dino_vits8 --size 480
    python -m vit_engine attend cat.jpg --model demo_vit_p16 --size 224 --out results
    python -m vit_engine compare cat.jpg --pane demo_vit_p8:5:mean --pane demo_vit_p16:5:mean --out results
    python -m vit_engine reproduce results/run.json
    python -m vit_engine download dino_vits16 dino_vits8
    python -m vit_engine inspect run/checkpoint.pth#student --heads 6

A command is a module with add_arguments(parser) and run(arguments), and a row of COMMANDS.

Exit codes: 0 done; 1 the picture, model or disk cannot be used (one line on stderr); 2 wrong usage;
130 Ctrl-C.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import vit_engine as ve
from vit_engine.cli import attend, compare, console, download, estimate, inspect, models, reproduce

_NUMBERS_AFTER = {"--size": 2, "--layers": 1, "--query": 1}  # how many, as console.join_values() wants them


class Command(NamedTuple):
    """A command's name, what it does in a line, what adds its arguments to a parser, and what runs it."""

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], None]


COMMANDS = (
    Command("models", "the models known by name", models.add_arguments, models.run),
    Command("estimate", "what a run will take, before it is made", estimate.add_arguments, estimate.run),
    Command("attend", "the attention of one picture, written to files", attend.add_arguments, attend.run),
    Command("compare", "several maps of one picture side by side, with numbers", compare.add_arguments, compare.run),
    Command("download", "weights into the cache folder, verified", download.add_arguments, download.run),
    Command("inspect", "what a checkpoint is, before it is loaded", inspect.add_arguments, inspect.run),
    Command("reproduce", "a comparison made anew: are its numbers the same?", reproduce.add_arguments, reproduce.run),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, without the program's name, and return its exit code."""
    return console.guarded(lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> None:
    arguments = _parser().parse_args(console.join_values(argv, _NUMBERS_AFTER))
    arguments.run(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vit-engine", description=ve.__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"vit-engine {ve.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        added = commands.add_parser(command.name, help=command.help, allow_abbrev=False)
        command.add_arguments(added)
        added.set_defaults(run=command.run)
    return parser
