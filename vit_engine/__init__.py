"""Exact attention analysis of Vision Transformers, in linear memory.

import vit_engine as ve

trace = ve.attend("demo_vit_p8", "cat.jpg", size=224)  # or a torch.nn.Module, and an array
trace.attention_map(layer=-1, head="mean", query="cls").values
trace.statistics.to_frame()

loaded = ve.load_model("demo_vit_p8")  # once, for several pictures
trace = ve.attend(loaded, "cat.jpg", size=224)
"""

from vit_engine.analysis.maps.agreement import Agreement, agreement, difference
from vit_engine.analysis.maps.mask import mass_mask
from vit_engine.analysis.methods import METHODS, Method, find_method
from vit_engine.analysis.rankings import RankedHead, Ranking, rank_heads
from vit_engine.analysis.run import Run
from vit_engine.analysis.similarity import HeadSimilarity, head_similarity
from vit_engine.errors import (
    CheckpointError,
    DownloadError,
    ImageError,
    NumericalError,
    ResourceError,
    SpecError,
    VitEngineError,
)
from vit_engine.image import PreparedImage, open_image, prepare_image
from vit_engine.model import VisionTransformer
from vit_engine.model.vit import vit_base, vit_small, vit_tiny
from vit_engine.planning.estimates import Estimate, estimate
from vit_engine.registry import list_models
from vit_engine.resources.budget import memory_budget
from vit_engine.spec import ModelSpec, Preprocessing, TokenGrid
from vit_engine.trace import AttentionTrace, attend
from vit_engine.trace.attention_map import AttentionMap
from vit_engine.trace.statistics import HeadStatistics
from vit_engine.weights import Inspection, LoadedModel, LoadReport, inspect_checkpoint, load_model

__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "Agreement",
    "AttentionMap",
    "AttentionTrace",
    "CheckpointError",
    "DownloadError",
    "Estimate",
    "HeadSimilarity",
    "HeadStatistics",
    "ImageError",
    "Inspection",
    "LoadReport",
    "LoadedModel",
    "Method",
    "ModelSpec",
    "NumericalError",
    "PreparedImage",
    "Preprocessing",
    "RankedHead",
    "Ranking",
    "ResourceError",
    "Run",
    "SpecError",
    "TokenGrid",
    "VisionTransformer",
    "VitEngineError",
    "agreement",
    "attend",
    "difference",
    "estimate",
    "find_method",
    "head_similarity",
    "inspect_checkpoint",
    "list_models",
    "load_model",
    "mass_mask",
    "memory_budget",
    "open_image",
    "prepare_image",
    "rank_heads",
    "vit_base",
    "vit_small",
    "vit_tiny",
]
