"""torchvision's ViT (torchvision.models.vision_transformer), older files with mlp.linear_1 and linear_2 too."""

from vit_engine.errors import CheckpointError
from vit_engine.spec import Preprocessing
from vit_engine.weights.conversion import Conversion
from vit_engine.weights.formats.common import published
from vit_engine.weights.formats.common.format import Format, Metadata, Sidecar, named

_LAYER = r"encoder\.layers\.encoder_layer_(\d+)\."
RULES = (
    (r"class_token", r"cls_token"),
    (r"conv_proj\.(weight|bias)", r"patch_embed.proj.\1"),
    (r"encoder\.pos_embedding", r"pos_embed"),
    (_LAYER + r"ln_([12])\.(weight|bias)", r"blocks.\1.norm\2.\3"),
    (_LAYER + r"self_attention\.in_proj_(weight|bias)", r"blocks.\1.attn.qkv.\2"),
    (_LAYER + r"self_attention\.out_proj\.(weight|bias)", r"blocks.\1.attn.proj.\2"),
    (_LAYER + r"mlp\.(?:0|linear_1)\.(weight|bias)", r"blocks.\1.mlp.fc1.\2"),
    (_LAYER + r"mlp\.(?:3|linear_2)\.(weight|bias)", r"blocks.\1.mlp.fc2.\2"),
    (r"encoder\.ln\.(weight|bias)", r"norm.\1"),
    (r"heads\.(?:head\.)?(weight|bias)", r"head.\1"),  # fine-tuned ones often have model.heads = nn.Linear(…)
)
WHY_HIDDEN = "classifier with a hidden layer (representation_size), and one linear layer is all that there is here"


def _convert(conversion: Conversion, _: Sidecar) -> Metadata:
    if "conv_proj.weight" not in conversion:
        raise CheckpointError(
            "it has no conv_proj.weight: its patches go through a stem of several convolutions (conv_stem_configs). "
            "Expected one convolution as wide as its stride. Load a model without a stem."
        )
    if any(name.startswith("heads.pre_logits.") for name in conversion.tensors):
        conversion.drop(r"heads\..*", WHY_HIDDEN)
    conversion.rename(RULES)
    return Metadata(
        family="torchvision",
        resampling="corners",
        preprocessing=Preprocessing(interpolation="bilinear"),
        published=published.TORCHVISION,
    )


FORMAT = Format("torchvision", named("class_token", "encoder.pos_embedding"), _convert)
