"""Hugging Face's DeiT (transformers.models.deit), with one classifier, or one for each of its two tokens."""

from vit_engine.spec import Preprocessing
from vit_engine.weights.formats.common.hf_config import HALF
from vit_engine.weights.formats.common.published import DEIT
from vit_engine.weights.formats.hf_vit import DEFAULTS, make_format

FORMAT = make_format(
    "deit",
    "Hugging Face DeiT",
    "embeddings.distillation_token",
    types={"deit": DEFAULTS},
    pictures=Preprocessing(mean=HALF, std=HALF),
    published=DEIT,
)
