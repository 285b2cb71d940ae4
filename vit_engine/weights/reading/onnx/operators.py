"""Operators that show that a graph is no plain export: quantised, fused, or cut into functions. Refused by name."""

import re
from typing import TYPE_CHECKING

from vit_engine.errors import CheckpointError
from vit_engine.weights.reading.listing import listed

if TYPE_CHECKING:
    from onnx import ModelProto

_EXPORT = "Export it from PyTorch again, without optimising it."
# Patterns of operators, as DOMAIN.NAME outside of ONNX's own; what a graph with one is; what to do. In this order.
_REFUSED = (
    (
        r"(.*\.)?(Q(Linear|Gemm|Attention|Ordered).*|(Dynamic)?(De)?[Qq]uantize.*|(MatMul|Conv)Integer.*"
        r"|MatMul(NBits|Bnb4|Fp.*)|GatherBlockQuantized)",
        "quantised, so that its weights are no longer those that were trained",
        "Pass the model as it was before: model.onnx or model_fp16.onnx, where the hub has several.",
    ),
    (
        r"com\.microsoft\..*",
        "optimised by onnxruntime, which fuses nodes of several layers and keeps no names",
        _EXPORT,
    ),
    (r".*\..*", "of operators that only its maker's runtime knows", _EXPORT),
    (r"Loop|Scan", "of loops, which no Vision Transformer has", _EXPORT),
)


def check_operators(model: "ModelProto", operators: set[str]) -> None:
    """CheckpointError where the graph is quantised, fused or otherwise more than tensors and ONNX's own operators."""
    for pattern, what, todo in _REFUSED:
        if found := sorted(name for name in operators if re.fullmatch(pattern, name)):
            raise CheckpointError(f"its graph is {what} (it has {listed(found, 4)}). {todo}")
    if model.functions:
        raise CheckpointError(
            f"its graph is cut into {len(model.functions)} functions, as torch.onnx.dynamo_export left it. Export it "
            "with torch.onnx.export(…, dynamo=True)."
        )
    if model.graph.sparse_initializer:
        raise CheckpointError("it has sparse tensors. Export it from PyTorch again, with dense ones.")
