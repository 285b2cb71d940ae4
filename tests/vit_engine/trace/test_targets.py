"""What can be asked of a picture, by number and by name, and what cannot."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.vit_engine.explicit import architecture, noise
from vit_engine.errors import SpecError
from vit_engine.spec import ModelSpec
from vit_engine.trace.differentiate import differentiate
from vit_engine.trace.targets import ClassTarget, NormTarget, PatchTarget, VectorTarget, find_target

CLASSES = ("tabby, tabby cat", "tiger cat", "Egyptian cat", "tiger", "goldfish", "12 hours")
SPEC = ModelSpec("m", "M", "test", 4, 12, 2, 3, native_size=(12, 20), class_names=CLASSES)
BARE = ModelSpec("bare", "Bare", "test", 4, 12, 2, 3, native_size=(12, 20))


@pytest.mark.parametrize(
    ("asked", "number"),
    [
        (0, 0),
        (np.int64(4), 4),
        ("4", 4),
        (" 5 ", 5),
        ("goldfish", 4),
        ("GOLD", 4),
        ("tabby", 0),
        ("tiger", 3),  # the whole name of one, and part of another
        ("12 hours", 5),
        (ClassTarget(1, "whatever"), 1),
    ],
)
def test_a_class_by_number_or_name(asked: object, number: int) -> None:
    target = find_target(asked, SPEC)  # type: ignore[arg-type]
    assert target == ClassTarget(number, CLASSES[number])
    assert (target.name, target.label) == (str(number), f"class {number}, {CLASSES[number]}")


def test_a_class_whose_name_is_its_number_is_named_once() -> None:
    assert ClassTarget(8, "class 8").label == "class 8"


def test_targets_that_need_no_classifier() -> None:
    assert find_target("norm", BARE) == NormTarget()
    assert find_target("patch:3, 4", BARE) == PatchTarget(3, 4)
    assert find_target("norm", BARE).label == "norm of the image embedding"
    assert find_target("patch:3,4", BARE).name == "patch:3,4"
    vector = VectorTarget(np.ones(12, np.float32), "similarity to cup.jpg", "picture:cup.jpg")
    assert find_target(vector, BARE) is vector


@pytest.mark.parametrize(
    ("asked", "spec", "message"),
    [
        (6, SPEC, "a class of 'm' must be in 0..5; got 6."),
        ("-1", SPEC, "a class of 'm' must be in 0..5; got -1."),
        ("--1", SPEC, "no class of 'm' is called '--1'"),
        (ClassTarget(9, "x"), SPEC, "a class of 'm' must be in 0..5; got 9."),
        ("cat", SPEC, "'cat' may be several classes of 'm': 0 'tabby, tabby cat', 1 'tiger cat', 2 'Egyptian cat'."),
        (" ", SPEC, "a target must not be empty: name a class of 'm', or leave the target out."),
        ("--5", SPEC, "no class of 'm' is called '--5'"),
        (1.5, SPEC, "a target must be a class by number or name, or one of Target; got 1.5."),
        (True, SPEC, "a target must be a class by number or name, or one of Target; got True."),
        ([1], SPEC, "a target must be a class by number or name, or one of Target; got [1]."),
        ("t", SPEC, "several classes of 'm': 0 'tabby, tabby cat', 1 'tiger cat', 2 'Egyptian cat', 3 'tiger'."),
        (
            "pug",
            SPEC,
            "no class of 'm' is called 'pug'; name one of its 6 by number or name: tabby, tabby cat, tiger cat,",
        ),
        (
            "tigre",
            SPEC,
            "no class of 'm' is called 'tigre'; did you mean 'tiger'? Name one of its 6 by number or name: ",
        ),
        (0, BARE, "'bare' has no classifier, so no class can be its target. Use 'norm'"),
        ("cat", BARE, "no target of 'bare' is called 'cat': it has no classifier. Use 'norm'"),
        ("patch:3", SPEC, "a patch as a target is 'patch:ROW,COL', counted from 0; got 'patch:3'."),
        ("patch:-1,2", SPEC, "a patch as a target is 'patch:ROW,COL', counted from 0; got 'patch:-1,2'."),
    ],
)
def test_what_there_is_not_is_refused(asked: object, spec: ModelSpec, message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        find_target(asked, spec)  # type: ignore[arg-type]


@pytest.mark.parametrize("vector", [np.zeros(4), np.array([1, np.nan]), np.ones((2, 2)), np.array([np.inf, 0])])
def test_a_vector_without_a_direction_is_refused(vector: np.ndarray) -> None:
    with pytest.raises(SpecError, match=re.escape("a target's vector must be (features,), finite and not all zeros")):
        VectorTarget(vector, "similarity", "picture:x")


def test_a_vector_of_another_model_and_a_patch_off_the_grid_are_refused() -> None:
    loaded = architecture("plain")
    prepared = noise(loaded.spec)
    other = VectorTarget(np.ones(7, np.float32), "similarity", "picture:x")
    with pytest.raises(SpecError, match="needs a vector of 12 numbers; got 7"):
        differentiate(loaded, prepared, target=other)
    with pytest.raises(SpecError, match=r"the target's patch must have row in 0\.\.4 and col in 0\.\.6; got 5, 0\."):
        differentiate(loaded, prepared, target="patch:5,0")


def test_a_vector_of_a_model_is_refused_by_another_one_of_the_same_dimensions() -> None:
    vector = VectorTarget(np.ones(12, np.float32), "similarity", "picture:x", model="m")
    assert find_target(vector, SPEC) is vector
    with pytest.raises(SpecError, match=r"'picture:x' was made with 'm', whose embeddings mean nothing to 'bare'"):
        find_target(vector, BARE)


@pytest.mark.parametrize("target", [7, "patch:9,9", None])
def test_what_there_is_not_is_refused_before_anything_is_run(target: int | str | None) -> None:
    loaded = architecture("plain", class_names=())
    heard: list[float] = []
    with pytest.raises(SpecError):
        differentiate(loaded, noise(loaded.spec), target=target, progress=lambda fraction, _: heard.append(fraction))
    assert not heard


@pytest.mark.parametrize("name", ["mean of all patches", "norm of their mean"])
def test_where_no_classifier_reads_cls_the_mean_is_compared_with_the_patch(name: str) -> None:
    loaded = architecture(name)
    prepared = noise(loaded.spec)
    gradients = differentiate(loaded, prepared, target="patch:1,4")[1]
    *_, last = loaded.model.token_stream(prepared.tensor[None])
    patch = loaded.model.norm(last[:, loaded.spec.prefix + 1 * 7 + 4])
    assert gradients.score == pytest.approx(float(torch.cosine_similarity(loaded.model.pool(last), patch)), rel=1e-5)
    assert gradients.target.label == "similarity of the image embedding to patch row 1, col 4"
    rows = gradients.layer(-1).rows
    assert rows is not None
    assert rows.tolist() == list(range(loaded.spec.prefix, loaded.spec.prefix + 35))


def test_vectors_are_equal_by_what_they_are_of() -> None:
    first, same, other = (
        VectorTarget(np.array(numbers, np.float32), "similarity", name)
        for numbers, name in (([1, 2], "text:a"), ([1, 2], "text:a"), ([1, 3], "text:a"))
    )
    assert first == same
    assert hash(first) == hash(same)
    assert first != other
    assert first != replace(first, projection=np.eye(2, dtype=np.float32))
    assert first != replace(first, model="m")
