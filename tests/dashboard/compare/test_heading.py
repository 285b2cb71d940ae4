"""What stands over a pane: its method and target in one line, before and after its analysis."""

from html import unescape

import pytest
from streamlit.testing.v1 import AppTest

import vit_engine as ve
from dashboard import keys
from dashboard.compare.heading import heading
from dashboard.keys import of_pane
from dashboard.links.targets import POINT
from dashboard.shell.method_options import target_titles
from dashboard.testing import click_pane
from tests.dashboard.compare.fixtures_compare import assert_works, opened, trace_of
from vit_engine.analysis.comparison import Pane
from vit_engine.registry import find_model

DEMO = find_model("demo_vit_p16")


def before_analysis(method: str, target: str = "", spec: ve.ModelSpec = DEMO) -> tuple[str, str]:
    """What is seen, and the tooltip, before there is an analysis."""
    return read(heading(Pane(spec.name, 5, method=method, target=target), spec, None, {"coffee": "Coffee"}))


def read(html: str) -> tuple[str, str]:
    title, _, text = html.removeprefix('<div class="pane-heading" title="').partition('">')
    return unescape(text.removesuffix("</div>")), unescape(title)


@pytest.mark.parametrize(
    ("method", "target", "short", "full"),
    [
        ("raw", "", "Raw attention", "Raw attention"),
        ("rollout", "", "Attention rollout", "Attention rollout"),
        ("pca", "", "PCA of tokens", "PCA of tokens"),
        ("relevance", "", "Relevance for likeliest class", "Relevance · target: likeliest class"),
        ("relevance", "1", "Relevance for ring", "Relevance · target: class 1, ring"),
        ("legrad", "norm", "LeGrad for embedding norm", "LeGrad · target: norm of the image embedding"),
        ("legrad", f"{POINT}0.5,0.5", "LeGrad for a patch", "LeGrad · target: similarity to a patch"),
        ("legrad", "picture:coffee", "LeGrad for Coffee", "LeGrad · target: similarity to Coffee"),
        ("legrad", "picture:gone", "LeGrad for this picture", "LeGrad · target: similarity to this picture"),
        ("legrad", 'text:a "<b>"', 'LeGrad for “a "<b>"”', 'LeGrad · target: similarity to “a "<b>"”'),
        ("legrad", "text:", "LeGrad for a text", "LeGrad · target: similarity to a text"),
    ],
)
def test_a_pane_names_its_method_and_its_target(method: str, target: str, short: str, full: str) -> None:
    assert before_analysis(method, target) == (short, full)


def test_without_a_classifier_the_target_is_what_the_model_has() -> None:
    assert before_analysis("legrad", spec=find_model("dino_vits16"))[0] == "LeGrad for embedding norm"
    assert before_analysis("legrad", spec=find_model("random_vit_tiny_p16"))[0] == "LeGrad for the middle patch"


def test_markup_in_a_target_is_text_and_no_name_ends_the_page() -> None:
    html = heading(Pane(DEMO.name, 5, method="legrad", target="picture:x"), DEMO, None, {"x": '"><img>\udcff'})
    assert "<img" not in html
    assert html.encode()


def headings(at: AppTest) -> list[str]:
    return [
        read(each.proto.body)[0] for each in at.get("html") if each.proto.body.startswith('<div class="pane-heading')
    ]


def test_over_each_pane_stands_what_the_analysis_found() -> None:
    at = opened("demo_vit_p16:5:mean:legrad[target=point:0.45,0.6]", "demo_vit_p8:5:mean:relevance", "demo_vit_p8:1:0")
    likeliest = trace_of("demo_vit_p8").predictions[0].label
    assert headings(at) == ["LeGrad for patch row 2, col 4", f"Relevance for {likeliest}", "Raw attention"]


def test_another_patch_is_chosen_by_a_click_and_in_the_menu_which_the_pane_says() -> None:
    at = opened("demo_vit_p16:5:mean:legrad[target=point:0.45,0.6]", "demo_vit_p16:5:mean:legrad")
    hints = [each.value for each in at.caption if "Another patch: click it" in each.value]
    assert len(hints) == 1
    target = of_pane(keys.PANE_TARGET, 0)
    assert "Similarity to the clicked patch" not in at.selectbox(key=target).options
    click_pane(at, y=8, x=24)
    assert "Similarity to a patch" in at.selectbox(key=target).options
    assert "Similarity to the clicked patch" in at.selectbox(key=target).options
    at.selectbox(key=target).set_value("point:0.0833,0.1905").run()
    assert_works(at)
    assert headings(at)[0] == "LeGrad for patch row 0, col 1"
    assert "Similarity to the clicked patch" not in at.selectbox(key=target).options


def test_only_where_clicks_do_not_choose_the_target_is_the_clicked_patch_another() -> None:
    chosen, point = f"{POINT}0.5000,0.5000", (0.25, 0.75)
    assert "Similarity to the clicked patch" not in target_titles(DEMO, chosen, point=point).values()
    offered = target_titles(DEMO, chosen, point=point, clicked=True)
    assert offered[f"{POINT}0.2500,0.7500"] == "Similarity to the clicked patch"
    assert offered[chosen] == "Similarity to a patch"
    assert "Similarity to the clicked patch" not in target_titles(DEMO, chosen, point=(0.5, 0.5), clicked=True).values()
    assert (
        target_titles(DEMO, "", point=point, clicked=True)[f"{POINT}0.2500,0.7500"] == "Similarity to the clicked patch"
    )
    assert "Similarity to the clicked patch" not in target_titles(DEMO, "", clicked=True).values()
