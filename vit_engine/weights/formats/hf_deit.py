"""Hugging Face's DeiT (transformers.models.deit), with one classifier, or one for each of its two tokens."""

from functools import partial

from vit_engine.spec import Preprocessing
from vit_engine.weights.formats.common.format import Format
from vit_engine.weights.formats.common.hf_config import HALF
from vit_engine.weights.formats.common.hf_names import has
from vit_engine.weights.formats.common.published import DEIT
from vit_engine.weights.formats.hf_vit import DEFAULTS, convert

FORMAT = Format(
    "Hugging Face DeiT",
    lambda names, sidecar: has(
        names,
        "embeddings.patch_embeddings.projection.weight",
        "embeddings.distillation_token",
        prefixes=("", "deit."),
    ),
    partial(
        convert,
        family="deit",
        types={"deit": DEFAULTS},
        pictures=Preprocessing(mean=HALF, std=HALF),
        published=DEIT,
    ),
    config_file="config.json",
)
