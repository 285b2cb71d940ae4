"""`methods` lists what the API has."""

import json

import pytest

import vit_engine as ve
from vit_engine.cli import main


def test_every_method_has_a_paragraph(capsys: pytest.CaptureFixture[str]):
    assert main(["methods"]) == 0
    paragraphs = capsys.readouterr().out.rstrip("\n").split("\n\n")
    for method, paragraph in zip(ve.METHODS, paragraphs, strict=True):
        first, description, *_ = paragraph.splitlines()
        assert first == f"{method.name}: {method.title}"
        assert description.strip() == method.description
        assert f"source      {method.source}" in paragraph
        assert f"misleads    {method.misleads}" in paragraph
        assert f"costs       {method.cost}" in paragraph
        assert paragraph.count("\n  option ") == len(method.options)


def test_a_paragraph_says_what_a_method_needs_and_what_can_be_chosen(capsys: pytest.CaptureFixture[str]):
    assert main(["methods"]) == 0
    paragraph = next(each for each in capsys.readouterr().out.split("\n\n") if each.startswith("gradient_rollout:"))
    lines = paragraph.splitlines()
    assert "  needs       a forward and a backward pass" in lines
    assert "  depends on  query, target" in lines
    assert any(line.startswith("  option      start=LAYER: ") and line.endswith(" Default: 0.") for line in lines)
    assert any(line.startswith("  option      residual=0..1: ") and line.endswith(" Default: 0.5.") for line in lines)


def test_methods_as_json(capsys: pytest.CaptureFixture[str]):
    assert main(["methods", "--json"]) == 0
    records = {record["name"]: record for record in json.loads(capsys.readouterr().out)}
    assert list(records) == [method.name for method in ve.METHODS]
    relevance = records["relevance"]
    assert (relevance["depends_on"], relevance["signed"]) == (["query", "target"], False)
    assert relevance["needs"] == ve.find_method("relevance").needs.value
    (start,) = relevance["options"]
    assert (start["name"], start["default"], start["layer"], start["low"], start["high"]) == (
        "start",
        0,
        True,
        None,
        None,
    )
    assert records["integrated_gradients"]["options"][0]["high"] == 512
