"""Exact attention analysis of Vision Transformers, in linear memory.

import vit_engine as ve

trace = ve.attend("demo_vit_p8", "cat.jpg", size=224)  # or a torch.nn.Module, and an array
trace.attention_map(layer=-1, head="mean", query="cls").values
trace.statistics.to_frame()

tokens = ve.features("demo_vit_p8", "cat.jpg", size=224)  # what the patches carry, layer by layer
ve.pca_map(tokens, layer=-1).rgb

loaded = ve.load_model("demo_vit_p8")  # once, for several pictures
trace = ve.attend(loaded, "cat.jpg", size=224)
"""

from vit_engine.analysis.explain import explain
from vit_engine.analysis.maps.agreement import Agreement, agreement, difference
from vit_engine.analysis.maps.mask import mass_mask
from vit_engine.analysis.methods import METHODS, Method, find_method
from vit_engine.analysis.rankings import RankedHead, Ranking, rank_heads
from vit_engine.analysis.run import Run
from vit_engine.analysis.similarity import HeadSimilarity, head_similarity
from vit_engine.analysis.sinks import Sink, sinks
from vit_engine.analysis.tokens.cosine import similarity_map
from vit_engine.analysis.tokens.matches import Correspondences, correspondences
from vit_engine.analysis.tokens.norms import TokenNorms, token_norms
from vit_engine.analysis.tokens.pca import PcaMap, pca_map
from vit_engine.analysis.worth.faithfulness import Faithfulness, estimate_faithfulness, faithfulness
from vit_engine.analysis.worth.masks import fit_mask, open_mask
from vit_engine.analysis.worth.pointing import Pointing, pointing, rank_pointing
from vit_engine.analysis.worth.sanity import SanityCheck, randomised, randomised_map, sanity
from vit_engine.errors import (
    CheckpointError,
    DownloadError,
    ImageError,
    NumericalError,
    ResourceError,
    SpecError,
    VitEngineError,
)
from vit_engine.grid import TokenGrid
from vit_engine.image import PreparedImage, open_image, prepare_image
from vit_engine.model import VisionTransformer
from vit_engine.model.vit import vit_base, vit_small, vit_tiny
from vit_engine.planning.estimates import Estimate, estimate
from vit_engine.registry import list_models
from vit_engine.resources.budget import memory_budget
from vit_engine.spec import ModelSpec, Preprocessing
from vit_engine.trace import AttentionTrace, Features, attend, features
from vit_engine.trace.attention_map import AttentionMap
from vit_engine.trace.gradients import Gradients
from vit_engine.trace.references import picture_target, text_target
from vit_engine.trace.statistics import HeadStatistics
from vit_engine.trace.targets import Target, find_target
from vit_engine.weights import Inspection, LoadedModel, LoadReport, inspect_checkpoint, load_model

__version__ = "0.1.0"

__all__ = [
    "METHODS",
    "Agreement",
    "AttentionMap",
    "AttentionTrace",
    "CheckpointError",
    "Correspondences",
    "DownloadError",
    "Estimate",
    "Faithfulness",
    "Features",
    "Gradients",
    "HeadSimilarity",
    "HeadStatistics",
    "ImageError",
    "Inspection",
    "LoadReport",
    "LoadedModel",
    "Method",
    "ModelSpec",
    "NumericalError",
    "PcaMap",
    "Pointing",
    "PreparedImage",
    "Preprocessing",
    "RankedHead",
    "Ranking",
    "ResourceError",
    "Run",
    "SanityCheck",
    "Sink",
    "SpecError",
    "Target",
    "TokenGrid",
    "TokenNorms",
    "VisionTransformer",
    "VitEngineError",
    "agreement",
    "attend",
    "correspondences",
    "difference",
    "estimate",
    "estimate_faithfulness",
    "explain",
    "faithfulness",
    "features",
    "find_method",
    "find_target",
    "fit_mask",
    "head_similarity",
    "inspect_checkpoint",
    "list_models",
    "load_model",
    "mass_mask",
    "memory_budget",
    "open_image",
    "open_mask",
    "pca_map",
    "picture_target",
    "pointing",
    "prepare_image",
    "randomised",
    "randomised_map",
    "rank_heads",
    "rank_pointing",
    "sanity",
    "similarity_map",
    "sinks",
    "text_target",
    "token_norms",
    "vit_base",
    "vit_small",
    "vit_tiny",
]
