"""From an image to attention and tokens: attend() and features(), and what they leave."""

from vit_engine.trace.attention_map import REDUCTIONS
from vit_engine.trace.extract import features
from vit_engine.trace.features import Features
from vit_engine.trace.record import AttentionTrace, LayerTrace, Prediction
from vit_engine.trace.run import attend

__all__ = ["REDUCTIONS", "AttentionTrace", "Features", "LayerTrace", "Prediction", "attend", "features"]
