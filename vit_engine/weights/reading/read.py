"""Reading checkpoints: safetensors, PyTorch files and ONNX files as data. Nothing in them is run."""

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from vit_engine.errors import CheckpointError
from vit_engine.weights.origin import Origin
from vit_engine.weights.reading.folder import NAMES, CheckpointFiles, find_files
from vit_engine.weights.reading.limits import check_within_limit, check_within_memory
from vit_engine.weights.reading.listing import naming_file, quoted, shorten
from vit_engine.weights.reading.onnx.file import open_onnx
from vit_engine.weights.reading.onnx.graph import Graph
from vit_engine.weights.reading.safetensors_file import read_safetensors
from vit_engine.weights.reading.sniff import HEAD, container_of
from vit_engine.weights.reading.torch_file import read_torch

_KINDS = {stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}


@dataclass(frozen=True)
class CheckpointFile:
    source: str  # where it is from, as messages name it: the path as its owner gave it, without '#part'
    name: str  # for people, of the model that is made of it
    content: Any = field(repr=False)  # what it holds, perhaps nested
    container: str  # "safetensors", "torch", "onnx" or "module"
    sha256: str  # of the file, or of all shards one after another, by name; of a module's tensors
    path: Path | None = None  # of the file or folder
    config: Mapping[str, Any] = field(default_factory=dict)  # of the config.json that belongs to it
    preprocessor: Mapping[str, Any] = field(default_factory=dict)  # of its preprocessor_config.json
    part: str = ""  # of the content, as asked for
    graph: Graph | None = field(default=None, repr=False)  # of an ONNX file
    module: nn.Module | None = field(default=None, repr=False)  # that it is the state of; it is never changed
    left_out: tuple[tuple[str, str], ...] = ()  # (what, why) of what is beside the content
    other_part: str = "name it after a '#': PATH#NAME"  # how to pass less of it, for messages
    origin: Origin | None = None


def split_part(path: Path) -> tuple[Path, str]:
    """'run.pth#student': a path, and the part of what is there; a file whose own name has a '#' comes first."""
    whole = str(path)
    head, mark, part = whole.rpartition("#")
    if not mark or not head or os.path.lexists(path) or not os.path.lexists(head):
        return path, ""
    return Path(head), part


def read_checkpoint(path: Path) -> CheckpointFile:
    """What is at a path: a file, or a folder as vit_engine.weights.reading.folder says; '#part' names a part of it.

    The content keeps nothing of the files open or mapped: they may change or go. CheckpointError where it cannot
    be read whole and safely.
    """
    origin = Origin(path.absolute())
    path, part = split_part(path)
    with naming_file(path):
        checkpoint = find_files(path)
        _signatures(path, checkpoint.files)
        containers = [_container(file) for file in checkpoint.files]
        onnx = open_onnx(checkpoint.files[0]) if containers[0] == "onnx" else None
        files = (*checkpoint.files, *(onnx.outside if onnx else ()))
        before = _signatures(path, files)
        sha256 = _sha256(files)
        graph = Graph(onnx) if onnx else None
        content = graph.parameters() if graph else _merged(checkpoint, list(map(_read, checkpoint.files, containers)))
        if before != _signatures(path, files):
            raise CheckpointError(f"{path} changed while it was read. Load it again.")
    return CheckpointFile(
        source=str(path),
        name=_name(path),
        content=content,
        container=containers[0].split()[0],
        sha256=sha256,
        path=path,
        config=checkpoint.config,
        preprocessor=checkpoint.preprocessor,
        part=part,
        graph=graph,
        origin=origin,
    )


def _name(path: Path) -> str:
    """For people: the file's without its suffix, or the folder's where the hub gave the file its name."""
    if path.name == "model.onnx" and path.resolve().parent.name == "onnx":
        path = path.resolve().parent.parent
    if path.name in {*NAMES, "model.onnx"} or path.is_dir():
        return (path if path.is_dir() else path.parent).resolve().name
    return path.stem


def _signatures(path: Path, files: Sequence[Path]) -> list[tuple[int, int, int, int]]:
    """Of all files. CheckpointError or ResourceError where they are larger together than may be read."""
    signatures = [_signature(file) for file in files]
    size = sum(size for _, _, size, _ in signatures)
    check_within_limit(size, f"{path} has")
    check_within_memory(size, f"{path} has")
    return signatures


def _signature(path: Path) -> tuple[int, int, int, int]:
    """What changes when a file does; its size is the third. CheckpointError for what is no file: a pipe would block."""
    try:
        status = path.stat()
    except ValueError as error:  # a name that no file can have
        raise CheckpointError(f"{path} cannot be read: {error}. Check the path.") from error
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "folder")
        raise CheckpointError(f"{path} is a {kind} and no file. Pass a file, or a folder with one.")
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _sha256(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)  # in pieces, into the digest of the files before
    return digest.hexdigest()


def _container(path: Path) -> str:
    with path.open("rb") as file:
        return container_of(path, file.read(HEAD), path.stat().st_size)


def _read(path: Path, container: str) -> Any:
    return read_safetensors(path) if container == "safetensors" else read_torch(path, container)


def _merged(checkpoint: CheckpointFiles, contents: Sequence[Any]) -> Any:
    """Of all files together, which the index, where there is one, must be right about."""
    if not checkpoint.keys:
        return contents[0]
    merged: dict[str, Any] = {}
    for path, content in zip(checkpoint.files, contents, strict=True):
        _check_keys(path, content, checkpoint.keys[path])
        merged.update(content)
    return merged


def _check_keys(path: Path, content: Any, expected: frozenset[str]) -> None:
    got = set(content) if isinstance(content, Mapping) else set()
    if got != expected:
        missing, extra = sorted(expected - got), sorted(map(shorten, got - expected))
        raise CheckpointError(
            f"{path} has other tensors than its index says. Missing: {quoted(missing)}. "
            f"Unexpected: {quoted(extra)}. Copy it again."
        )
