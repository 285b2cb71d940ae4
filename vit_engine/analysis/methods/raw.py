"""Raw attention: one row of softmax(q·kᵀ/√d), as the model has it."""

from vit_engine.spec import Query
from vit_engine.trace import AttentionTrace
from vit_engine.trace.attention_map import AttentionMap


def raw_attention(trace: AttentionTrace, layer: int, head: int | str, query: Query) -> AttentionMap:
    """The weights that one query gives to the patches; arguments and errors of AttentionTrace.attention_map."""
    return trace.attention_map(layer, head, query)
