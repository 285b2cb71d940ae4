"""What is chosen of a method on the command line: its options, its target, and the mask that its map is held to."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

import vit_engine as ve
from vit_engine.analysis import methods
from vit_engine.analysis.methods import RAW, Method, Value
from vit_engine.analysis.methods.options import read_options
from vit_engine.analysis.worth.masks import mask_coverage
from vit_engine.cli import console
from vit_engine.trace.targets import PICTURE, TEXT, check_target

# What is chosen by an argument, and not by --option.
_OWN_ARGUMENTS = {"layer": "--layers", "query": "--query", "target": "--target", "size": "--size"}
Box = tuple[float, float, float, float]  # (y0, x0, y1, x1), fractions of height and width


def add_method_choice(parser: argparse.ArgumentParser, *, what: str, default: str | None = RAW) -> None:
    """--method and --option. what: what the method is for. default: None tells what was asked for from what was not."""
    add = parser.add_argument
    names = ", ".join(known.name for known in methods.METHODS)
    maps = f"{what}, see `methods`: {names}; default: raw attention"
    add("--method", type=method, default=default, metavar="NAME", help=maps)
    one = "an option of the method, see `methods`; may be repeated"
    add("--option", type=option, action="append", default=[], metavar="NAME=VALUE", help=one)


def add_method_arguments(parser: argparse.ArgumentParser) -> None:
    """--method, its options, query and target, and what says how good its map is."""
    add_method_choice(parser, what="what the maps are")
    add = parser.add_argument
    token = "the token that is asked about: the CLS token, a patch, or a region of patches"
    add("--query", type=console.query, default="cls", metavar="cls|ROW,COL|TOP,LEFT,BOTTOM,RIGHT", help=token)
    target = (
        "what the map is evidence of, for methods that explain a target: a class by number or name, the norm of the "
        "image embedding, or the similarity to a patch, another picture or a text; default: the likeliest class"
    )
    add("--target", metavar=f"CLASS|norm|patch:ROW,COL|{PICTURE}PATH|{TEXT}TEXT", help=target)
    shape = "a picture file, black outside; or a box, as fractions of height and width"
    add("--mask", type=mask, metavar="FILE|Y0,X0,Y1,X1", help=f"say which map and head lies on this: {shape}")
    curves = (
        "say whether the model needs what the map shows, by insertion and deletion beside random orders and weights"
    )
    add("--faithfulness", action="store_true", help=curves)


def method(text: str) -> str:
    """Argument type: the name or title of a method, in any case and punctuation; gives its name."""
    try:
        return methods.method_among(methods.METHODS, text).name
    except ve.SpecError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def option(text: str) -> tuple[str, str]:
    """Argument type: NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text!r}")
    return name.strip(), value.strip()


def mask(text: str) -> str | Box:
    """Argument type: a path, or a box of four numbers."""
    parts = text.split(",")
    if len(parts) != 4 or not all(re.fullmatch(r"\s*\d*\.?\d+\s*", part) for part in parts):
        return text
    top, left, bottom, right = (float(part) for part in parts)
    if not (top < bottom <= 1 and left < right <= 1):
        raise argparse.ArgumentTypeError(f"expected Y0,X0,Y1,X1, fractions in 0..1 with Y0 < Y1, X0 < X1, got {text!r}")
    return top, left, bottom, right


def read_method_options(method: Method, asked: Sequence[tuple[str, str]], spec: ve.ModelSpec) -> dict[str, Value]:
    """All options of the method with their values; SpecError for one that it does not have, or that cannot be."""
    known = {each.name: each for each in method.options}
    for name, value in asked:
        argument = _OWN_ARGUMENTS.get(name.removesuffix("s"))
        if argument and name not in known:
            raise ve.SpecError(f"{name!r} is no option of a method: pass {argument} {value} instead of --option.")
    names = [name for name, _ in asked]
    if repeated := [name for name in known if names.count(name) > 1]:
        raise ve.SpecError(f"--option {repeated[0]}=… must be given once; got it {names.count(repeated[0])} times.")
    written = {name: known[name].parse(text) if name in known else text for name, text in asked}
    return read_options(method.options, written, spec, method.name)


def read_target(
    asked: str | None, loaded: ve.LoadedModel, grid: ve.TokenGrid, *, size: int | tuple[int, int] | None
) -> ve.Target | None:
    """The target, checked as far as it can be before the run; None is the likeliest class.

    size: of the other picture of picture:PATH, as prepare_image() takes it. Raises SpecError for a target that the
    model does not have, and for none where it has no classifier; what open_image() and attend() raise for a picture.
    """
    spec = loaded.spec
    if asked is None:
        if not spec.class_names:
            raise ve.SpecError(
                f"{spec.name!r} has no classifier, so a target must be named: --target norm (the norm of the image "
                f"embedding), patch:ROW,COL (the similarity of CLS to a patch), or {PICTURE}PATH (the similarity to "
                "another picture)."
            )
        return None
    if asked.startswith(PICTURE):
        return ve.picture_target(loaded, asked.removeprefix(PICTURE), size=size)
    if asked.startswith(TEXT):
        return ve.text_target(loaded, asked.removeprefix(TEXT))
    target = check_target(asked, spec, grid)
    if target is not None:
        target.check_model(loaded.model)
    return target


def read_mask(
    asked: str | Box,
    picture: Image.Image,
    spec: ve.ModelSpec,
    grid: ve.TokenGrid,
    *,
    size: int | tuple[int, int] | None,
) -> np.ndarray | Box:
    """The mask in pixels of the prepared picture, or the box; ImageError or SpecError where nothing can lie on it."""
    if isinstance(asked, str):
        pixels = ve.open_mask(Path(asked), (picture.height, picture.width), spec, size=size)
        mask_coverage(pixels, grid)
        return pixels
    mask_coverage(asked, grid)
    return asked
