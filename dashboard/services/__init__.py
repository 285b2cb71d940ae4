"""What the pages ask of the engine: models, pictures and traces, shared by all sessions.

The only room with caches and the only caller of the engine's functions.
"""

from dashboard.services import limits
from dashboard.services.analyses import (
    Analysis,
    Cost,
    analyse,
    cost,
    find_analysis,
    frame_of,
    query_patch,
    statistics,
    trace_bytes,
    warm_up,
)
from dashboard.services.checkpoint_uploads import close_uploads
from dashboard.services.comparisons import (
    agreement,
    comparable,
    compare,
    download_size,
    drawn,
    export,
    heads_side_by_side,
    map_entropy,
    ready_models,
)
from dashboard.services.downloads import Download, cancel_download, download_failure, find_download, start_download
from dashboard.services.folder import Listing, checkpoint_folder, list_checkpoints
from dashboard.services.heads import analyse_too, rankings, similarity
from dashboard.services.memory import Held, in_memory, load_model, load_report, model_bytes, unload
from dashboard.services.models import (
    Model,
    SeriesAdded,
    add_series,
    find_row,
    is_own,
    is_ready,
    models,
    reopen,
    report_as_json,
    screen_names,
    series_models,
    series_of,
    table,
)
from dashboard.services.names import SUFFIXES, with_heads, with_part
from dashboard.services.own import Inspected, add, held_as, inspect, is_added, keep_checkpoint, remove
from dashboard.services.pictures import Picture, find_picture, find_upload, keep_upload, sample_picture, thumbnail
from dashboard.services.private_folder import remove_abandoned
from dashboard.services.series import Series, find_series
from vit_engine.planning import in_words

__all__ = [
    "SUFFIXES",
    "Analysis",
    "Cost",
    "Download",
    "Held",
    "Inspected",
    "Listing",
    "Model",
    "Picture",
    "Series",
    "SeriesAdded",
    "add",
    "add_series",
    "agreement",
    "analyse",
    "analyse_too",
    "cancel_download",
    "checkpoint_folder",
    "close_uploads",
    "comparable",
    "compare",
    "cost",
    "download_failure",
    "download_size",
    "drawn",
    "export",
    "find_analysis",
    "find_download",
    "find_picture",
    "find_row",
    "find_series",
    "find_upload",
    "frame_of",
    "heads_side_by_side",
    "held_as",
    "in_memory",
    "in_words",
    "inspect",
    "is_added",
    "is_own",
    "is_ready",
    "keep_checkpoint",
    "keep_upload",
    "limits",
    "list_checkpoints",
    "load_model",
    "load_report",
    "map_entropy",
    "model_bytes",
    "models",
    "query_patch",
    "rankings",
    "ready_models",
    "remove",
    "remove_abandoned",
    "reopen",
    "report_as_json",
    "sample_picture",
    "screen_names",
    "series_models",
    "series_of",
    "similarity",
    "start_download",
    "statistics",
    "table",
    "thumbnail",
    "trace_bytes",
    "unload",
    "warm_up",
    "with_heads",
    "with_part",
]
