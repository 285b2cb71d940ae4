"""From an image to attention: attend(), and AttentionTrace, which it leaves."""

from vit_engine.trace.attention_map import REDUCTIONS
from vit_engine.trace.record import AttentionTrace, LayerTrace, Prediction
from vit_engine.trace.run import attend

__all__ = ["REDUCTIONS", "AttentionTrace", "LayerTrace", "Prediction", "attend"]
