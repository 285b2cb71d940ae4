"""Curves of faithfulness are the engine's, measured once for all sessions, and of a score that means something."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import vit_engine as ve
from dashboard.services import faithfulness as service
from dashboard.services import pictures
from dashboard.services.faithfulness import ITSELF, FaithfulnessRequest
from dashboard.services.maps import MapRequest
from tests.dashboard.support import ignore, request

PICTURE, MODEL, SIZE = "scene_1", "demo_vit_p16", 96


def asked(method: str = "raw", **choices: Any) -> FaithfulnessRequest:
    """Of layer 3, head 1."""
    picture = request(pictures.sample_picture(PICTURE), MODEL, SIZE)
    places = {"layer": 3, "head": 1} | choices
    maps = MapRequest(picture, picture.analyse(ignore), ve.find_method(method), **places)
    shown = ve.find_method("raw").attribute(maps.analysis.trace, layer=3, head=1).map
    return FaithfulnessRequest(maps, shown)


@pytest.mark.usefixtures("fresh_caches")
def test_curves_are_the_engines_and_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counting(run: ve.Run, map: ve.AttentionMap, **options: Any) -> ve.Faithfulness:
        calls.append(map.label)
        return ve_faithfulness(run, map, **options)

    ve_faithfulness = ve.faithfulness
    monkeypatch.setattr(service.ve, "faithfulness", counting)
    measured, again = asked().analyse(ignore), asked().analyse(ignore)
    assert again is measured
    assert calls == ["layer 3 · head 1 · query CLS", "layer 3 · head 1 · query CLS · random weights, seed 0"]
    loaded = ve.load_model(MODEL)
    run = ve.Run(asked().asked.analysis.trace, loaded, prepared(loaded))
    expected = ve_faithfulness(run, asked().map)
    np.testing.assert_allclose(measured.map.insertion, expected.insertion, atol=1e-4)
    np.testing.assert_allclose(measured.map.random_deletion_curves, expected.random_deletion_curves, atol=1e-4)
    other = ve_faithfulness(run, ve.randomised_map(run, "raw", layer=3, head=1), orders=0)
    np.testing.assert_allclose(measured.randomised.deletion, other.deletion, atol=1e-4)


@pytest.mark.usefixtures("fresh_caches")
@pytest.mark.parametrize("method", ["rollout", "integrated_gradients"])
def test_progress_goes_on_while_the_map_on_randomised_weights_is_made(method: str) -> None:
    reports: list[tuple[float, str]] = []
    request = replace(asked(method, target="3", options=(("steps", 4),) if "int" in method else ()), steps=2)
    request.analyse(ignore)  # what only the engine's first use takes
    service._measured().pop(request.key)
    request._measure(ve.load_model(MODEL), lambda *report: reports.append(report))
    fractions = [fraction for fraction, _ in reports]
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1)
    randomised = [fraction for fraction, message in reports if message.startswith("the same map on randomised weights")]
    assert len(set(randomised)) > 5
    last = next(message for fraction, message in reports if fraction > randomised[-1])
    assert last.startswith("randomised weights, without patches: ")


def prepared(loaded: ve.LoadedModel) -> ve.PreparedImage:
    return ve.prepare_image(pictures.sample_picture(PICTURE).open(), loaded.spec, size=SIZE)


def test_every_choice_that_changes_the_curves_is_another_measurement() -> None:
    choices = [
        asked(),
        asked(layer=2),
        asked(head=2),
        asked(query=(1, 2)),
        replace(asked(), baseline="mean"),
        replace(asked(), steps=8),
    ]
    assert len({each.key for each in choices}) == len(choices)
    gradient = asked("legrad", target="3")
    assert gradient.key == asked("legrad", target="3", layer=2, head=0).key  # it depends on neither
    assert gradient.key != asked("legrad", target="4").key


def test_the_score_is_the_methods_target_or_the_likeliest_class_and_never_the_norm() -> None:
    plain = asked()
    trace = plain.asked.analysis.trace
    assert plain.score == str(trace.predictions[0].number)
    assert asked("legrad", target="4").score == "4"
    assert asked("legrad", target="norm").score == ITSELF
    other, norm = (replace(plain, measured_by=target) for target in ("4", "norm"))
    assert (other.score, norm.score) == ("4", ITSELF)
    assert len({plain.key, other.key, norm.key}) == 3
    assert replace(asked("legrad", target="5"), measured_by="4").score == "5"
    without = replace(plain.asked.analysis, trace=replace(trace, predictions=()))
    unclassified = replace(plain, asked=replace(plain.asked, analysis=without))
    assert unclassified.score == ITSELF
    measured = unclassified.analyse(ignore)
    assert measured.map.score_label == "similarity to the picture itself"
    assert measured.map.insertion[-1] == pytest.approx(1, abs=1e-5)


def test_what_it_takes_counts_the_passes_of_all_curves() -> None:
    request = asked()
    single = ve.estimate(MODEL, request.asked.analysis.trace.grid).seconds
    assert 60 * single < request.expected.seconds < 400 * single
    assert replace(request, steps=8).expected.seconds < 0.6 * request.expected.seconds
    slow = asked("integrated_gradients", target="3")
    assert slow.expected.seconds > request.expected.seconds + 30 * single
