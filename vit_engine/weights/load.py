"""load_model(): from a name or a path to a model that is proven to have all its weights."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from vit_engine.devices import usable_device
from vit_engine.errors import CheckpointError, DownloadError, SpecError
from vit_engine.model import VisionTransformer
from vit_engine.progress import Progress
from vit_engine.registry import find_model, list_models
from vit_engine.spec import ModelSpec
from vit_engine.weights.dino import convert_key, find_state_dict
from vit_engine.weights.download import download
from vit_engine.weights.locate import weights_path, works_offline
from vit_engine.weights.read import read_checkpoint
from vit_engine.weights.report import LoadedModel, LoadReport


def load_model(
    name_or_path: str | Path | ModelSpec,
    *,
    weights: str | Path = "auto",
    heads: int | None = None,
    device: str | torch.device = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> LoadedModel:
    """A model with its weights, frozen, in eval mode.

    name_or_path: a name from list_models(), a ModelSpec, or a checkpoint file with DINO's parameter
    names. weights: "auto" for the model's trained ones (downloaded at first use; models whose name
    begins with "random" have none), "random" for fresh ones from `seed`, or a path. heads: needed
    where a bare checkpoint does not say; a model's trained weights have the heads of its spec, and no
    other number is taken for them. device: "auto" takes a GPU if there is one.

    Loading is strict: SpecError for a name or heads that do not exist, CheckpointError with the lists of
    keys where a file does not fit, DownloadError where weights cannot be fetched.
    """
    report = progress or (lambda fraction, message: None)
    target = usable_device(device)
    path = _checkpoint_path(name_or_path)
    if path is not None:
        if weights != "auto":
            raise SpecError(f"weights= goes with a model's name; {str(path)!r} is a weight file itself. Leave it out.")
        return _load_file(path, None, heads, target)
    spec = name_or_path if isinstance(name_or_path, ModelSpec) else find_model(str(name_or_path))
    spec = _with_heads(spec, heads, trained=weights == "auto" and spec.weights is not None)
    if weights == "random" or (weights == "auto" and spec.weights is None):
        return _random_model(spec, seed, target)
    if weights != "auto":
        return _load_file(Path(weights).expanduser(), spec, None, target)
    file = weights_path(spec)
    if not file.exists():
        _fetch(spec, file, report)
    report(1.0, f"loading {spec.title}")
    return _load_file(file, spec, None, target)


def _with_heads(spec: ModelSpec, heads: int | None, *, trained: bool) -> ModelSpec:
    """Nothing in trained weights would object to other heads, and every map would be wrong."""
    if heads is None:
        return spec
    if trained and heads != spec.heads:
        raise SpecError(
            f"heads must be {spec.heads} for the trained weights of {spec.name!r}; got {heads}. Leave heads= out, "
            "or use weights='random' or a file of your own."
        )
    return spec.with_heads(heads)


def build(spec: ModelSpec) -> VisionTransformer:
    """The model of a spec."""
    return VisionTransformer(
        patch_size=spec.patch_size,
        dim=spec.dim,
        depth=spec.depth,
        heads=spec.heads,
        image_size=spec.native_size,
        registers=spec.registers,
        class_count=len(spec.class_names),
        mlp_ratio=spec.mlp_ratio,
        resampling=spec.resampling,
    )


def _checkpoint_path(name_or_path: str | Path | ModelSpec) -> Path | None:
    """A path where a path is meant: it exists, or looks like one and is no model's name."""
    if isinstance(name_or_path, ModelSpec):
        return None
    path = Path(name_or_path).expanduser()
    looks_like_one = isinstance(name_or_path, Path) or "/" in str(name_or_path) or path.suffix != ""
    known = any(spec.name == str(name_or_path) for spec in list_models())
    return path if not known and (looks_like_one or path.exists()) else None


def _random_model(spec: ModelSpec, seed: int, device: torch.device) -> LoadedModel:
    with torch.device("meta"):
        model = build(spec)
    model = model.to_empty(device="cpu")
    model.initialise(torch.Generator().manual_seed(seed))
    report = LoadReport(source=f"random (seed {seed})", format="random", sha256=None)
    return _finish(spec, model, report, device)


def _finish(spec: ModelSpec, model: VisionTransformer, report: LoadReport, device: torch.device) -> LoadedModel:
    return LoadedModel(spec, model.to(device).eval().requires_grad_(False), report)


def _fetch(spec: ModelSpec, file: Path, progress: Progress) -> None:
    if spec.weights is None or spec.weights.url is None:
        raise CheckpointError(f"the weights of {spec.name!r} should be at {file}, but are not there. Install again.")
    try:
        download(spec.weights.url, file, progress=progress)
    except DownloadError as error:
        ready = ", ".join(other.name for other in list_models() if works_offline(other))
        raise DownloadError(f"{error} These models work without it: {ready}.") from error


def _load_file(path: Path, spec: ModelSpec | None, heads: int | None, device: torch.device) -> LoadedModel:
    content, format_name, sha256 = read_checkpoint(path)
    if spec is not None and spec.weights is not None and path == weights_path(spec):
        _verify(path, spec.weights.sha256, sha256)
    tensors, renamed, dropped = _convert(find_state_dict(content))
    spec = spec or _read_spec(path, tensors, heads)
    with torch.device("meta"):
        model = build(spec)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    _demand_fit(path, spec, expected, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    report = LoadReport(
        source=str(path),
        format=format_name,
        sha256=sha256,
        matched=tuple(name for name in expected if name not in dict(renamed).values()),
        converted=renamed,
        dropped=dropped,
    )
    return _finish(spec, model, report, device)


def _verify(path: Path, expected: str | None, got: str) -> None:
    if expected and expected != got:
        raise CheckpointError(f"{path} has sha256 {got}; expected {expected}. Install or download it again.")


# The tensors that show the architecture, with their axes; a model without classes has no head.
_TELLING = {
    "pos_embed": ("1", "1 + patches", "dim"),
    "patch_embed.proj.weight": ("dim", "channels", "patch size", "patch size"),
    "blocks.0.mlp.fc1.weight": ("hidden", "dim"),
    "head.weight": ("classes", "dim"),
}
Renamed = tuple[tuple[str, str], ...]


def _convert(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Renamed, Renamed]:
    """Tensors by their names here, (old, new) of those renamed, (old, why) of those dropped."""
    tensors, renamed, dropped = {}, [], []
    for key, tensor in state.items():
        name = convert_key(key)
        if name is None:
            dropped.append((key, "projection head of self-supervised training"))
            continue
        if name in tensors:
            raise CheckpointError(f"two tensors are called {name!r} once prefixes are removed, one of them {key!r}.")
        tensors[name] = tensor
        if name != key:
            renamed.append((key, name))
    return tensors, tuple(renamed), tuple(dropped)


def _read_spec(path: Path, tensors: Mapping[str, Tensor], heads: int | None) -> ModelSpec:
    """The architecture as the tensors' shapes show it; heads cannot be read from them."""
    shapes = _telling_shapes(path, tensors)
    if heads is None:
        raise CheckpointError(f"{path} does not say how many heads it has, and tensors cannot: pass heads=.")
    dim, _, patch_size, _ = shapes["patch_embed.proj.weight"]
    side = math.isqrt(max(shapes["pos_embed"][1] - 1, 0))  # of a square grid: what training grids are
    depth = 1 + max(int(match[1]) for name in tensors if (match := re.match(r"blocks\.(\d{1,3})\.", name)))
    classes = shapes.get("head.weight", (0,))[0]
    try:
        return ModelSpec(
            name=path.stem,
            title=path.stem,
            family="file",
            patch_size=patch_size,
            dim=dim,
            depth=depth,
            heads=heads,
            native_size=(side * patch_size, side * patch_size),
            mlp_ratio=shapes["blocks.0.mlp.fc1.weight"][0] / dim,
            resampling="dino",
            class_names=tuple(f"class {index}" for index in range(classes)),
        )
    except SpecError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _telling_shapes(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors that show the architecture, with as many axes as it takes to read it from them."""
    missing = [name for name in _TELLING if name not in tensors and name != "head.weight"]
    if missing:
        raise CheckpointError(
            f"{path} is not a ViT with DINO's parameter names: expected {', '.join(missing)}; "
            f"got {', '.join(sorted(tensors)[:8])}…"
        )
    shapes = {name: tuple(tensors[name].shape) for name in _TELLING if name in tensors}
    wrong = [name for name, shape in shapes.items() if len(shape) != len(_TELLING[name]) or 0 in shape]
    kernel = shapes["patch_embed.proj.weight"][2:]
    if wrong or kernel[0] != kernel[1]:
        found = ", ".join(f"{name} {shapes[name]}" for name in wrong or ["patch_embed.proj.weight"])
        expected = ", ".join(f"{name} ({', '.join(axes)})" for name, axes in _TELLING.items())
        raise CheckpointError(
            f"{path} is not a ViT that can be read: expected {expected}, with square patches; got {found}. "
            "Give weights of a ViT in DINO's layout."
        )
    return shapes


def _demand_fit(path: Path, spec: ModelSpec, expected: Mapping[str, tuple], got: Mapping[str, tuple]) -> None:
    missing = sorted(expected.keys() - got.keys())
    unexpected = sorted(got.keys() - expected.keys())
    shapes = [
        f"{name}: {expected[name]} expected, {got[name]} got"
        for name in expected
        if name in got and expected[name] != got[name]
    ]
    if missing or unexpected or shapes:
        raise CheckpointError(
            f"{path} does not fit {spec.name!r}, and nothing was loaded. Missing: {missing or 'none'}. "
            f"Unexpected: {unexpected or 'none'}. Wrong shape: {shapes or 'none'}."
        )
