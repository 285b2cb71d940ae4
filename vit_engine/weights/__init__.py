"""Where weights come from, and the proof that all of them arrived."""

from vit_engine.weights.load import inspect_checkpoint, load_model
from vit_engine.weights.locate import cache_folder, fetch, weights_path, works_offline
from vit_engine.weights.report import Inspection, LoadedModel, LoadReport

__all__ = [
    "Inspection",
    "LoadReport",
    "LoadedModel",
    "cache_folder",
    "fetch",
    "inspect_checkpoint",
    "load_model",
    "weights_path",
    "works_offline",
]
