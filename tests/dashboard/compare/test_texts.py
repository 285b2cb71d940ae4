"""Panes whose target is a text: offered where the model reads words, and asked for until they are typed."""

from pathlib import Path

import pytest
import torch

import vit_engine as ve
from dashboard import keys
from dashboard.keys import of_pane
from dashboard.services import targets as services
from dashboard.services.checkpoints import folder, user_models
from dashboard.shell.method_options import text_key
from tests.dashboard.compare.fixtures_compare import assert_works, opened
from tests.dashboard.support import ignore
from tests.vit_engine.weights.formats.test_clip import original_state
from tests.vit_engine.weights.text.clips import hugging_face_clip
from vit_engine.analysis.comparison import Pane

TARGET = of_pane(keys.PANE_TARGET, 0)


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ve.ModelSpec:
    monkeypatch.setenv(folder.VARIABLE, str(tmp_path))
    state = original_state(hugging_face_clip({"hidden_size": 64, "num_attention_heads": 1}))
    torch.save(state, tmp_path / "ViT-tiny.pt")
    return user_models.add("file:ViT-tiny.pt@3", ignore)


@pytest.mark.usefixtures("fresh_caches")
def test_a_model_from_a_file_says_whether_it_reads_texts_before_it_is_loaded(clip: ve.ModelSpec) -> None:
    visual = ve.load_model("demo_vit_p16", device="cpu").model.state_dict()
    torch.save(visual, folder.checkpoint_folder() / "visual.pth")
    other = user_models.add("file:visual.pth@4", ignore)
    assert services.why_no_text_by_name(clip.name) == ""
    assert services.why_no_text_by_name(other.name).endswith("is of pictures alone")


@pytest.mark.usefixtures("fresh_caches")
def test_a_text_is_offered_where_the_model_reads_words_and_asked_for_until_it_is_typed(clip: ve.ModelSpec) -> None:
    panes = Pane(clip.name, 0, method="legrad", target="norm"), Pane("demo_vit_p16", 5, method="legrad")
    at = opened(*map(str, panes))
    targets = [at.selectbox(key=of_pane(keys.PANE_TARGET, number)) for number in (0, 1)]
    assert ["Similarity to a text" in each.options for each in targets] == [True, False]
    assert "No text can be the target here: its format" in targets[1].proto.help
    at = at.selectbox(key=TARGET).set_value("text:").run()
    assert not at.exception
    assert any("Type what the picture is to be similar to" in each.value for each in at.info)
    at = at.text_input(key=text_key(TARGET)).set_value("a photo of a cat").run()
    assert_works(at)
    assert "target=text" in at.query_params["pane"][0]
    assert any("a photo of a cat" in each.value for each in at.caption)
    assert not at.info


@pytest.mark.usefixtures("fresh_caches")
def test_a_model_that_reads_no_words_says_to_choose_another_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is run."""
    ran: list[str] = []
    attend = ve.attend
    monkeypatch.setattr(ve, "attend", lambda loaded, *_, **__: ran.append(loaded.spec.name) or attend(loaded, *_, **__))
    at = opened(str(Pane("demo_vit_p8", 5, method="legrad", target="text:a cat")), "demo_vit_p16:5:mean")
    (problem,) = [each.value for each in at.error]
    assert problem.startswith("Demo ViT /8 reads no text as a target\\: it is a model of pictures alone")
    assert ran == ["demo_vit_p16"]
    assert problem.endswith("Choose another target in the pane's menu.")
    assert of_pane(keys.PANE_RETRY, 0) not in [button.key for button in at.button]
