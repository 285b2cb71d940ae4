"""Several picture files, one by one or in folders, and a name for each."""

import re
from collections.abc import Sequence
from pathlib import Path

import vit_engine as ve
from vit_engine.trace.inputs import PICTURE_SUFFIXES


def picture_paths(arguments: Sequence[str]) -> list[str]:
    """Files as they are, and of folders the pictures directly in them, in natural order: 2.png before 10.png.

    SpecError for a folder without pictures.
    """
    return [path for argument in arguments for path in _pictures_of(argument)]


def _pictures_of(argument: str) -> list[str]:
    folder = Path(argument)
    if not folder.is_dir():
        return [argument]
    # What begins with a dot is not the user's picture: macOS keeps what it knows of cat.png in ._cat.png.
    files = [file for file in folder.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES and file.name[0] != "."]
    pictures = sorted((file for file in files if file.is_file()), key=lambda file: natural_key(file.name))
    if not pictures:
        raise ve.SpecError(
            f"the folder {argument!r} holds no pictures; files that end in {', '.join(sorted(PICTURE_SUFFIXES))} are."
        )
    return [str(file) for file in pictures]


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Orders files' names as people do: by their numbers' values, whatever the case; numbers before letters."""
    parts = re.findall(r"\d+|\D+", Path(name).stem.casefold(), flags=re.ASCII)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts], name


def picture_names(paths: Sequence[str], *, reserved: Sequence[str] = ()) -> list[str]:
    """A folder's name for each picture: its file's without the ending, numbered where another has it already.

    reserved: names that no picture may have. None leads out of the folder or breaks a line.
    """
    taken = {name.casefold() for name in reserved}  # some disks do not tell A from a
    names = []
    for path in paths:
        stem = re.sub(r"[\x00-\x1f\x7f]", "_", Path(path).stem).strip(". ") or "picture"
        number, name = 1, stem
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names.append(name)
    return names
