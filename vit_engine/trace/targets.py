"""What a model is asked about a picture: the scalar whose gradient, or whose change, a map explains."""

import difflib
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from vit_engine.errors import SpecError
from vit_engine.grid import TokenGrid, token_name
from vit_engine.model import VisionTransformer
from vit_engine.spec import ModelSpec

NORM = "norm"
LIKELIEST = "likeliest"
CLS, EMBEDDING = "CLS", "the image embedding"
FEW_CLASSES = 20  # so many are listed where a name is none of them
PICTURE, TEXT = "picture:", "text:"  # what the names of similarities begin with


class Target(ABC):
    """A scalar of what leaves a model's last block, or of any layer's tokens in their place."""

    @property
    @abstractmethod
    def name(self) -> str:
        """As in links, on the command line and in records."""

    @property
    @abstractmethod
    def label(self) -> str:
        """In words, beside a map."""

    @abstractmethod
    def score(self, model: VisionTransformer, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B"]:
        """The scalar of each picture, from tokens that have not passed the final norm."""

    def check_model(self, model: VisionTransformer) -> None:  # noqa: B027
        """SpecError, before anything is run, where the target is the same of all pictures in this model."""

    def bound(self, model: VisionTransformer, tokens: Float[Tensor, "1 N D"], grid: TokenGrid) -> "Target":  # noqa: ARG002
        """The target with what it takes from the picture itself, given its last tokens: all that stays fixed."""
        return self


@dataclass(frozen=True)
class ClassTarget(Target):
    """The logit of a class."""

    number: int  # from 0
    class_name: str

    @property
    def name(self) -> str:
        return str(self.number)

    @property
    def label(self) -> str:
        number = f"class {self.number}"
        return number if self.class_name == number else f"{number}, {self.class_name}"

    def score(self, model: VisionTransformer, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B"]:
        return model.classify(tokens)[:, self.number]


@dataclass(frozen=True)
class NormTarget(Target):
    """The length of what a classifier would see of the picture: of the CLS token after the final norm, mostly.

    SpecError where the final norm has equal gains and no bias, as that of random weights: all lengths are equal then.
    """

    @property
    def name(self) -> str:
        return NORM

    @property
    def label(self) -> str:
        return "norm of the image embedding"

    def score(self, model: VisionTransformer, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B"]:
        return torch.linalg.vector_norm(model.pool(tokens), dim=-1)

    def check_model(self, model: VisionTransformer) -> None:
        gains, bias = model.norm.weight, model.norm.bias
        if (gains == gains[0]).all() and not bias.any() and model.pooling not in {"mean", "cls_mean"}:
            raise SpecError(
                "the final norm of this model makes all embeddings equally long, as random weights do, so the target "
                "'norm' has no gradient. Use 'patch:ROW,COL', or the similarity to another picture."
            )

    def bound(self, model: VisionTransformer, tokens: Float[Tensor, "1 N D"], grid: TokenGrid) -> Target:  # noqa: ARG002
        self.check_model(model)
        return self


@dataclass(frozen=True, eq=False)
class VectorTarget(Target):
    """The cosine similarity of the image embedding to a vector: of another picture, or of a text.

    vector: float32 (features,), of any length but 0. projection: (shared, features), through which the image embedding
    passes first, as CLIP's does; None compares them as they are. model: the name of the model whose embeddings they
    are, the only one that has this target; None is any. Equal where name, numbers and model are.
    """

    vector: np.ndarray
    of: str  # in words: "similarity to cup.jpg"
    written: str  # as in links: "picture:…", "text:a cat"
    projection: np.ndarray | None = None
    model: str | None = None

    def __post_init__(self) -> None:
        if self.vector.ndim != 1 or not np.isfinite(self.vector).all() or not self.vector.any():
            raise SpecError("a target's vector must be (features,), finite and not all zeros.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VectorTarget) and self._known_by == other._known_by

    def __hash__(self) -> int:
        return hash(self._known_by)

    @cached_property
    def _known_by(self) -> tuple[str, str | None, bytes, bytes]:
        projection = b"" if self.projection is None else self.projection.astype(np.float32).tobytes()
        return self.written, self.model, self.vector.astype(np.float32).tobytes(), projection

    @property
    def name(self) -> str:
        return self.written

    @property
    def label(self) -> str:
        return self.of

    def score(self, model: VisionTransformer, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B"]:
        features = model.pool(tokens)
        if self.projection is not None:
            features = features @ torch.from_numpy(self.projection).to(features).mT
        vector = torch.from_numpy(self.vector).to(features)
        if features.shape[-1] != len(vector):
            raise SpecError(
                f"a target of this model needs a vector of {features.shape[-1]} numbers; got {len(vector)}."
            )
        return functional.cosine_similarity(features, vector[None], dim=-1)


@dataclass(frozen=True)
class PatchTarget(Target):
    """The cosine similarity of the CLS token to one patch's token, which is held fixed; both after the final norm.

    Where a model is read from the mean of its patches alone, its CLS token means nothing: find_target() says `read`
    "the image embedding" there, which is then compared instead.
    """

    row: int
    col: int
    read: str = CLS  # what is compared with the patch, in words

    @property
    def name(self) -> str:
        return f"patch:{self.row},{self.col}"

    @property
    def label(self) -> str:
        return f"similarity of {self.read} to {token_name((self.row, self.col))}"

    def score(self, model: VisionTransformer, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B"]:  # noqa: ARG002
        raise SpecError("the target 'patch' must be bound to a picture first: Target.bound().")

    def bound(self, model: VisionTransformer, tokens: Float[Tensor, "1 N D"], grid: TokenGrid) -> Target:
        self.check(grid)
        vector = model.norm(tokens[0, grid.token((self.row, self.col))]).float().cpu().numpy()
        kind = _ClsTarget if self.read == CLS else VectorTarget
        return kind(vector, self.label, self.name)

    def check(self, grid: TokenGrid) -> None:
        """SpecError for a patch that is not on the grid."""
        if not (0 <= self.row < grid.rows and 0 <= self.col < grid.cols):
            raise SpecError(
                f"the target's patch must have row in 0..{grid.rows - 1} and col in 0..{grid.cols - 1}; got "
                f"{self.row}, {self.col}."
            )


class _ClsTarget(VectorTarget):
    """To the CLS token itself, whatever the classifier reads."""

    def score(self, model: VisionTransformer, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B"]:
        vector = torch.from_numpy(self.vector).to(tokens)
        return functional.cosine_similarity(model.norm(tokens[:, 0]), vector[None], dim=-1)


def find_target(asked: "Target | int | str", spec: ModelSpec) -> Target:
    """A class by its number or its name, "norm", or "patch:ROW,COL"; a Target as it is.

    A name may leave out what tells it from no other class, whatever the case: "tabby" for "tabby, tabby cat". Raises
    SpecError for a class that there is not, for a name that several have, and for a target of another model.
    """
    if isinstance(asked, Target):
        return _checked(asked, spec)
    if isinstance(asked, str) and not asked.strip().removeprefix("-").isdecimal():
        return _by_name(asked.strip(), spec)
    if isinstance(asked, bool) or not isinstance(asked, str | Integral):
        raise SpecError(f"a target must be a class by number or name, or one of Target; got {asked!r}. {ADVICE}")
    return _class(int(asked), spec)


def check_target(asked: "Target | int | str | None", spec: ModelSpec, grid: TokenGrid) -> Target | None:
    """find_target(), for a picture on this grid; None, the likeliest class, where the model has classes.

    SpecError also for a patch off the grid, and for None where there is no classifier: before anything is run.
    """
    if asked is None:
        if not spec.class_names:
            raise SpecError(f"{spec.name!r} has no classifier, so a target must be named. {ADVICE}")
        return None
    target = find_target(asked, spec)
    if isinstance(target, PatchTarget):
        target.check(grid)
    return target


def _checked(target: Target, spec: ModelSpec) -> Target:
    if isinstance(target, ClassTarget):
        return _class(target.number, spec)
    if isinstance(target, PatchTarget):
        return replace(target, read=CLS if spec.reads_cls else EMBEDDING)
    if isinstance(target, VectorTarget) and target.model not in {None, spec.name}:
        raise SpecError(
            f"the target {target.name!r} was made with {target.model!r}, whose embeddings mean nothing to "
            f"{spec.name!r}: make it with this model."
        )
    return target


def _class(number: int, spec: ModelSpec) -> ClassTarget:
    if not spec.class_names:
        raise SpecError(f"{spec.name!r} has no classifier, so no class can be its target. {ADVICE}")
    if not 0 <= number < len(spec.class_names):
        raise SpecError(f"a class of {spec.name!r} must be in 0..{len(spec.class_names) - 1}; got {number}.")
    return ClassTarget(number, spec.class_names[number])


ADVICE = (
    "Use 'norm' (the norm of the image embedding), 'patch:ROW,COL' (the similarity of CLS to a patch), or the "
    "similarity to another picture: picture_target(), or picture:PATH on the command line."
)


def _by_name(name: str, spec: ModelSpec) -> Target:
    if not name:
        raise SpecError(f"a target must not be empty: name a class of {spec.name!r}, or leave the target out. {ADVICE}")
    if name == NORM:
        return NormTarget()
    if name.startswith("patch:"):
        return _checked(_patch(name), spec)
    if name.startswith((PICTURE, TEXT)):
        raise SpecError(
            f"the target {name!r} is a vector: make it with picture_target() or text_target(), and pass it."
        )
    if not spec.class_names:
        raise SpecError(f"no target of {spec.name!r} is called {name!r}: it has no classifier. {ADVICE}")
    folded = [each.casefold() for each in spec.class_names]
    wanted = name.casefold()
    exact = [number for number, each in enumerate(folded) if each == wanted]
    parts = [number for number, each in enumerate(folded) if wanted in each]
    found = exact or parts
    if len(found) == 1:
        return _class(found[0], spec)
    if not found:
        raise SpecError(f"no class of {spec.name!r} is called {name!r}; {_advised(name, spec.class_names)}")
    listed = ", ".join(f"{number} {spec.class_names[number]!r}" for number in found[:5])
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    raise SpecError(f"{name!r} may be several classes of {spec.name!r}: {listed}{more}. Use a number or a longer name.")


def _advised(name: str, classes: tuple[str, ...]) -> str:
    """Which classes to name instead: the nearest, and all of them where they are few."""
    nearest = difflib.get_close_matches(name.casefold(), [each.casefold() for each in classes], n=1)
    perhaps = f"did you mean {nearest[0]!r}? Name" if nearest else "name"
    few = f": {', '.join(classes)}" if len(classes) <= FEW_CLASSES else ""
    return f"{perhaps} one of its {len(classes)} by number or name{few}."


def _patch(name: str) -> PatchTarget:
    row, comma, col = name.removeprefix("patch:").partition(",")
    if not (comma and row.strip().isdecimal() and col.strip().isdecimal()):
        raise SpecError(f"a patch as a target is 'patch:ROW,COL', counted from 0; got {name!r}.")
    return PatchTarget(int(row), int(col))
