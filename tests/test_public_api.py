"""The public names and their signatures are a contract."""

import inspect
import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import vit_engine as ve

ROOT = Path(__file__).parent.parent
CLASSES = (
    "Agreement",
    "AttentionMap",
    "AttentionTrace",
    "Correspondences",
    "Estimate",
    "Faithfulness",
    "Features",
    "Gradients",
    "HeadSimilarity",
    "HeadStatistics",
    "Inspection",
    "LoadReport",
    "LoadedModel",
    "Method",
    "ModelSpec",
    "PcaMap",
    "Pointing",
    "PreparedImage",
    "Preprocessing",
    "RankedHead",
    "Ranking",
    "Run",
    "SanityCheck",
    "Sink",
    "Target",
    "TokenGrid",
    "TokenNorms",
    "VisionTransformer",
)
ERRORS = (
    "CheckpointError",
    "DownloadError",
    "ImageError",
    "NumericalError",
    "ResourceError",
    "SpecError",
    "VitEngineError",
)
FUNCTIONS = (
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
)
NAMES = (*CLASSES, *ERRORS, *FUNCTIONS, "METHODS")


def test_the_public_names_are_these() -> None:
    assert sorted(ve.__all__) == sorted(NAMES)
    assert all(hasattr(ve, name) for name in NAMES)


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        ("list_models", "()"),
        ("load_model", "(name_or_path, *, weights='auto', heads=None, device='auto', seed=0, progress=None)"),
        ("inspect_checkpoint", "(name_or_path, *, heads=None, progress=None)"),
        ("open_image", "(source)"),
        ("prepare_image", "(picture, spec, *, size=None)"),
        ("attend", "(loaded, prepared, *, size=None, layers='all', statistics='all', progress=None)"),
        (
            "estimate",
            "(spec, size, *, layers='all', statistics='all', device='auto', dtype=torch.float32, facet='', "
            "precision='float16', gradients=False)",
        ),
        (
            "features",
            "(loaded, prepared, *, size=None, layers='all', facet='token', precision='float16', progress=None)",
        ),
        ("pca_map", "(features, *, layer=-1, head=None, foreground=None)"),
        ("similarity_map", "(features, query, other=None, *, layer=-1, head=None)"),
        (
            "correspondences",
            "(first, second, *, layer=-1, head=None, ratio=0.8, similarity=-1.0, best=None)",
        ),
        ("token_norms", "(features, *, layer=-1, head=None, factor=3.0)"),
        ("memory_budget", "(device='cpu')"),
        ("agreement", "(first, second, *, keep=0.6)"),
        ("difference", "(shown, reference)"),
        ("mass_mask", "(values, keep)"),
        ("AttentionTrace.attention_map", "(self, layer=-1, head='mean', query='cls')"),
        ("AttentionTrace.rows", "(self, layer=-1, query='cls')"),
        ("AttentionTrace.head_maps", "(self, layer=-1, query='cls')"),
        ("picture_target", "(loaded, picture, *, size=None, name=None)"),
        ("text_target", "(loaded, text)"),
        ("find_method", "(name)"),
        (
            "explain",
            "(loaded, prepared, *, method, layer=-1, head='mean', query='cls', target=None, size=None, progress=None, "
            "**options)",
        ),
        ("find_target", "(asked, spec)"),
        (
            "faithfulness",
            "(run, map, target=None, *, baseline='blur', steps=16, orders=5, seed=0, progress=None)",
        ),
        (
            "estimate_faithfulness",
            "(spec, size, *, steps=16, orders=5, device='auto', dtype=torch.float32)",
        ),
        ("pointing", "(map, mask)"),
        (
            "rank_pointing",
            "(run, mask, *, methods=('raw',), layers='all', target=None, query='cls', options=mappingproxy({}))",
        ),
        ("randomised", "(loaded, seed=0, *, top=None)"),
        (
            "randomised_map",
            "(run, method, *, layer=-1, head='mean', query='cls', target=None, options=mappingproxy({}), seed=0, "
            "top=None, progress=None)",
        ),
        (
            "sanity",
            "(run, method, *, layer=-1, head='mean', query='cls', target=None, options=mappingproxy({}), seeds=3, "
            "top=None, progress=None)",
        ),
        ("open_mask", "(source, shape, spec, *, size=None)"),
        ("fit_mask", "(mask, spec, *, size=None)"),
        (
            "Method.attribute",
            "(self, run, *, layer=-1, head='mean', query='cls', target=None, fitted_to=(), options=mappingproxy({}))",
        ),
        ("sinks", "(trace, *, layer=-1, head='mean', share=0.5)"),
        ("HeadStatistics.to_frame", "(self)"),
        ("VisionTransformer.get_last_selfattention", "(self, x)"),
        ("VisionTransformer.get_intermediate_layers", "(self, x, n=1)"),
        ("vit_tiny", "(patch_size=16, **options)"),
        ("vit_small", "(patch_size=16, **options)"),
        ("vit_base", "(patch_size=16, **options)"),
    ],
)
def test_signatures_are_these(name: str, signature: str) -> None:
    found = ve
    for part in name.split("."):
        found = getattr(found, part)
    bare = inspect.signature(found)
    parameters = [parameter.replace(annotation=parameter.empty) for parameter in bare.parameters.values()]
    assert str(bare.replace(parameters=parameters, return_annotation=bare.empty)) == signature


def test_errors_form_the_tree_that_is_drawn() -> None:
    parents = {
        ve.VitEngineError: (Exception,),
        ve.SpecError: (ve.VitEngineError, ValueError),
        ve.CheckpointError: (ve.VitEngineError,),
        ve.DownloadError: (ve.CheckpointError,),
        ve.ImageError: (ve.VitEngineError, ValueError),
        ve.ResourceError: (ve.VitEngineError,),
    }
    assert {error: error.__bases__ for error in parents} == parents


def test_importing_says_nothing_and_loads_neither_dashboard_nor_gpu() -> None:
    code = (
        "import sys, vit_engine, torch; "
        "assert not {'streamlit', 'plotly', 'dashboard'} & set(sys.modules); "
        "assert not torch.cuda.is_initialized()"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_from_a_picture_to_its_attention_in_the_documented_steps() -> None:
    loaded = ve.load_model("random_vit_tiny_p16", device="cpu")
    buffer = io.BytesIO()
    Image.new("RGB", (48, 32), "orange").save(buffer, "PNG")
    picture = ve.open_image(buffer.getvalue())
    trace = ve.attend(loaded, ve.prepare_image(picture, loaded.spec, size=(32, 48)), layers=-1)
    assert trace.attention_map(layer=-1, head="mean", query="cls").values.shape == (2, 3)
    assert len(trace.statistics.to_frame()) == 3
    assert trace.weights(-1).shape == (3, 7, 7)
