"""The Vision Transformer: the equations and nothing else."""

from vit_engine.model.blocks import Attention, Block, DropPath, LayerAttention, Mlp
from vit_engine.model.vit import LayerRecord, VisionTransformer

__all__ = ["Attention", "Block", "DropPath", "LayerAttention", "LayerRecord", "Mlp", "VisionTransformer"]
