"""Whole CLIPs with random weights, small but for their vocabulary, which is CLIP's; saved as their users save them."""

import json
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPConfig, CLIPModel

from tests.vit_engine.weights.formats.support import randomise
from tests.vit_engine.weights.formats.test_clip import original_state

CAT = "a photo of a cat"
CAT_TOKENS = (49406, 320, 1125, 539, 320, 2368, 49407)  # as OpenAI's own tokenizer has them
SHARED = 10
SIDE = 20
VISION = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40}
TEXT = {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 28}
CONTEXT = 11


def hugging_face_clip(text: dict[str, Any] | None = None, *, seed: int = 0) -> CLIPModel:
    """text: options of the text tower."""
    config = CLIPConfig(
        vision_config={**VISION, "image_size": SIDE, "patch_size": 4},
        text_config={**TEXT, "max_position_embeddings": CONTEXT, **(text or {})},
        projection_dim=SHARED,
    )
    return randomise(CLIPModel(config), seed)


def open_clip_config(**changes: Any) -> dict[str, Any]:
    """Of about the same sizes. changes: of the text tower, but for quick_gelu."""
    vision = {"image_size": SIDE, "layers": 2, "width": 24, "patch_size": 4, "head_width": 8}
    text = {"context_length": CONTEXT, "vocab_size": 49408, "width": 12, "heads": 2, "layers": 1}
    quick = changes.pop("quick_gelu", False)
    return {"embed_dim": SHARED, "vision_cfg": vision, "text_cfg": {**text, **changes}, "quick_gelu": quick}


def open_clip_model(kind: str = "CLIP", **changes: Any) -> torch.nn.Module:
    return randomise(getattr(open_clip.model, kind)(**open_clip_config(**changes)))


def open_clip_folder(model: torch.nn.Module, folder: Path, **changes: Any) -> Path:
    """As open_clip's save_for_hf leaves it."""
    config = {"model_cfg": open_clip_config(**changes), "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config), encoding="utf-8")
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


def openai_file(model: CLIPModel, folder: Path) -> Path:
    torch.save(original_state(model), folder / "ViT-tiny.pt")
    return folder / "ViT-tiny.pt"


def hugging_face_similarity(model: CLIPModel, images: Tensor) -> float:
    with torch.no_grad():
        output = model(torch.tensor([CAT_TOKENS]), images, interpolate_pos_encoding=True)
        return float(output.logits_per_image / model.logit_scale.exp())


def open_clip_similarity(model: Any, images: Tensor) -> float:
    tokens = torch.zeros(1, CONTEXT, dtype=torch.long)
    tokens[0, : len(CAT_TOKENS)] = torch.tensor(CAT_TOKENS)
    with torch.no_grad():
        picture, text = model.encode_image(images, normalize=True), model.encode_text(tokens, normalize=True)
    return float(picture @ text.mT)
