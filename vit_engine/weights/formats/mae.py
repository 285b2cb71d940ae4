"""MAE (facebookresearch/mae): pretrained encoders, with or without their decoders, and fine-tuned classifiers.

Known by the decoder or the mask token; by fc_norm in place of norm, when the classifier sees the mean of the
patches (models_vit.py), which timm's models have too, but those come with a config.json; by the arguments of the
run; and by their values, because published encoders have the names of DINO: positions of an encoder are sines
and cosines that are never trained, with zeros for the CLS token (util/pos_embed.py).

Positions are resampled bicubically, without antialiasing (util/pos_embed.py, interpolate_pos_embed).
"""

from torch import Tensor

from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common import published
from vit_engine.weights.formats.common.format import Format, Metadata, Sidecar
from vit_engine.weights.formats.common.plain import canonical, refuse_unusual
from vit_engine.weights.formats.common.timm_config import describe

WHY_DECODER = "decoder, of training by filling in masked patches"
WHY_MASK = "token in place of masked patches, of training"
ASSUMED_MEAN = (
    "Positions are resampled as MAE does it, and pictures normalised with ImageNet's mean and std: timm's models that "
    "average patches can have the same names, and others than those."
)
WHY_PROBE = "linear probe behind a batch normalisation"
_OTHERS = {"reg_token", "register_tokens", "dist_token", "blocks.0.ls1.gamma", "blocks.0.gamma_1", "norm_pre.weight"}


def _recognises(conversion: Conversion, sidecar: Sidecar) -> bool:
    names = conversion.tensors.keys()
    if describe(sidecar) is not None or not {"cls_token", "pos_embed"} <= names:
        return False
    if canonical(names) and ("decoder_embed.weight" in names or _trained_here(sidecar)):
        return True
    telling = canonical(names) and bool(names & {"mask_token", "fc_norm.weight"})
    return not names & _OTHERS and (telling or _never_trained(conversion["pos_embed"]))


def _trained_here(sidecar: Sidecar) -> bool:
    """blr is the base learning rate, in main_pretrain.py, main_finetune.py and main_linprobe.py."""
    model = str(sidecar.arguments.get("model", ""))
    return model.startswith("mae_vit_") or (model.startswith("vit_") and "blr" in sidecar.arguments)


def _never_trained(positions: Tensor) -> bool:
    """Whether positions are MAE's: zeros for the CLS token, then sin 0 and cos 0, whatever the grid."""
    if positions.ndim != 3 or len(positions) != 1 or positions.shape[1] < 2 or positions.shape[2] % 4:
        return False
    first = positions[0, 1].reshape(4, positions.shape[2] // 4)  # sines and cosines of the column, then of the row
    return not positions[0, 0].any() and not first[::2].any() and bool((first[1::2] == 1).all())


def _convert(conversion: Conversion, sidecar: Sidecar) -> Metadata:
    refuse_unusual(conversion)
    conversion.drop(r"decoder_.*", WHY_DECODER)
    conversion.drop(r"mask_token", WHY_MASK)
    conversion.drop(r"head\.[01]\..*", WHY_PROBE)
    averaged = "fc_norm.weight" in conversion
    conversion.rename(((r"fc_norm\.(weight|bias)", r"norm.\1"),))
    name, dim = str(sidecar.arguments.get("model", "")), conversion["cls_token"].shape[-1]
    # Smaller sizes are others' (MAE-Lite, arXiv 2205.14443), and have other heads than timm's of the same name.
    known = published.known_architecture(name, dim=dim) if any(dim == wide for wide, _ in published.MAE) else None
    return Metadata(
        family="mae",
        heads=known.heads if known else None,
        heads_from=f"model={name} of the training run",
        pooling="mean_norm" if averaged else "cls",
        resampling="bicubic",
        published=published.MAE,
        assumed=(ASSUMED_MEAN,) if averaged and not conversion.dropped and not known else (),
    )


FORMAT = Format("MAE", _recognises, _convert)
