"""Models that other packages explain too, their weights drawn from a fixed seed, and where these packages' maps are.

`python -m tests.vit_engine.analysis.originals` writes the file anew. It needs captum 0.9.0, grad-cam 1.5.7 and
legrad_torch 1.1 on PYTHONPATH, which nothing else here needs.
"""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

GOLDEN = Path(__file__).parents[2] / "fixtures" / "attributions.npz"
COMMAND = "python -m tests.vit_engine.analysis.originals"
CLASS, STEPS = 2, 32
SIDE, PATCH = 35, 7  # pixels; odd patches, so that LeGrad's bilinear maps have each patch's own value in its middle


def draw(model: nn.Module) -> nn.Module:
    """Fills all parameters, in their order, from NumPy's generator, whose numbers stay the same."""
    generator = np.random.default_rng(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.from_numpy(generator.standard_normal(tuple(parameter.shape)))
            parameter.copy_(noise * 0.15 + (name.endswith("weight") and parameter.ndim == 1))
    return model.eval()


def timm_model() -> nn.Module:
    """A ViT of timm: three blocks of three heads, five classes."""
    options = {"img_size": SIDE, "patch_size": PATCH, "embed_dim": 24, "depth": 3, "num_heads": 3, "num_classes": 5}
    return draw(timm.models.VisionTransformer(**options))


def clip_model() -> Any:
    """A CLIP of open_clip, as small."""
    vision = {"image_size": SIDE, "patch_size": PATCH, "width": 24, "layers": 3, "head_width": 8}
    text = {"context_length": 8, "vocab_size": 16, "width": 16, "heads": 2, "layers": 1}
    return draw(open_clip.CLIP(embed_dim=16, vision_cfg=vision, text_cfg=text))


def pixels() -> Tensor:
    """A normalised picture of noise: (1, 3, side, side)."""
    return torch.from_numpy(np.random.default_rng(1).standard_normal((1, 3, SIDE, SIDE))).float()


def text_embedding() -> Tensor:
    """What stands for a text: (1, 16), of length 1."""
    return functional.normalize(torch.from_numpy(np.random.default_rng(2).standard_normal((1, 16))).float(), dim=-1)


def by_patch(values: Tensor) -> np.ndarray:
    """(1, 3, side, side) summed over channels and patches: (rows, cols)."""
    cells = values.detach()[0].sum(0).reshape(SIDE // PATCH, PATCH, SIDE // PATCH, PATCH)
    return cells.sum((1, 3)).numpy()


def _of_captum() -> dict[str, np.ndarray]:
    from captum.attr import InputXGradient, IntegratedGradients  # noqa: PLC0415

    model, images = timm_model(), pixels().requires_grad_()
    product = InputXGradient(model).attribute(images, target=CLASS)
    integrated = IntegratedGradients(model).attribute(images, baselines=0.0, target=CLASS, n_steps=STEPS)
    return {"input_gradient": by_patch(product), "integrated_gradients": by_patch(integrated)}


def _of_grad_cam() -> dict[str, np.ndarray]:
    """Before it scales a map to 0..1 and resizes it to the picture, and after its ReLU."""
    for name in ("cv2", "ttach", "sklearn", "sklearn.decomposition", "sklearn.cluster"):  # of its other parts
        sys.modules.setdefault(name, _Stub(name))
    from pytorch_grad_cam import GradCAM  # noqa: PLC0415
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # noqa: PLC0415

    model, rows, maps = timm_model(), SIDE // PATCH, {}
    for layer, block in enumerate(model.blocks):
        cam = GradCAM(model, [block.norm1], lambda x: x[:, 1:].unflatten(1, (rows, rows)).permute(0, 3, 1, 2))
        target = ClassifierOutputTarget(CLASS)
        target(cam.activations_and_grads(pixels())[0]).backward()
        hooks = cam.activations_and_grads
        known = [each.cpu().numpy() for each in (hooks.activations[0], hooks.gradients[0])]
        maps[f"grad_cam_{layer}"] = np.maximum(cam.get_cam_image(pixels(), block.norm1, [target], *known), 0)[0]
        hooks.release()
    return maps


def _of_legrad() -> dict[str, np.ndarray]:
    """Its map is scaled to 0..1 and enlarged to the picture: the middle of each patch is taken.

    Of all layers: those below the first that it hooks mix up tokens and batch in open_clip of today.
    """
    sys.modules.setdefault("cv2", _Stub("cv2"))  # for drawing
    from legrad import LeWrapper  # noqa: PLC0415

    wrapped = LeWrapper(clip_model(), layer_index=0)
    found = wrapped.compute_legrad_clip(text_embedding(), pixels())[0, 0]
    return {"legrad": found.detach()[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH].numpy()}


class _Stub(types.ModuleType):
    """Takes the place of a module that is imported and not used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **options: None


if __name__ == "__main__":
    np.savez_compressed(GOLDEN, **_of_captum(), **_of_grad_cam(), **_of_legrad())
