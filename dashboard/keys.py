"""The keys of everything on the screen: a stable contract for suites that drive the app by key.

A key is never renamed or reused for something else without a major version. Values are what
`session_state` and AppTest see; link names are those of the URL's query parameters.
"""

# Sidebar, on every page
SOURCE = "source"  # segmented control: "samples" | "upload" | "camera"
SAMPLE = "sample"  # pills: a name from dashboard.samples.SAMPLES
UPLOAD = "upload"  # file uploader
CAMERA = "camera"  # camera input
REMOVE_UPLOAD = "remove_upload"  # button, where an uploaded picture is shown and its file is not
MODEL = "model"  # select box: a name from vit_engine.list_models(), or of a file: "file:…", "upload:…"
SIZE = "size"  # select box: short side in pixels, one of dashboard.state.SIZES
OPACITY = "opacity"  # slider: 0..100 %, of the attention over the picture
COLOURS = "colours"  # select box: one of dashboard.figures.COLOUR_SCALES, or "auto"
SCALE = "scale"  # segmented control: "shared" | "own"
CLIP = "clip"  # select slider: percentile at which the colour scale ends

CHECKPOINT_STEP = "checkpoint_step"  # select slider, where the model is of a series: a name of a member; steps MODEL

# Explore
LAYER = "layer"  # slider: 0..depth - 1
HEAD = "head"  # segmented control: "mean" | "max" | "min" | "0" | "1" | ...
VIEW = "view"  # segmented control: "over" | "beside"
RESET_QUERY = "reset_query"  # button: back to the CLS token
TABLE_LAYERS = "table_layers"  # segmented control: "layer" | "all"
TABLE_KEYS = "table_keys"  # segmented control: "all" | "patches"

# Explore: what is drawn
OVERLAY = "overlay"  # plotly chart; traces "attention", "patches" (click = query), "query"
HEAD_GRID = "head_grid"  # plotly chart; traces "attention", "cells" (click = head)
MOSAIC = "mosaic"  # plotly chart; traces "attention", "cells" (click = layer and head)
ENTROPY_BY_DEPTH = "entropy_by_depth"  # plotly chart; a trace "head N" each, and "mean"
HEAD_STATISTICS = "head_statistics"  # data frame: one row a (layer, head); a click on a cell opens its row's head
DOWNLOAD_STATISTICS = "download_statistics"  # download button: CSV of all columns and layers

# Models: the table, and the model that was chosen in it
MODELS_SEARCH = "models_search"  # text input: words that title, name, family or licence must have
MODELS_SHOW = "models_show"  # segmented control: "all" | "ready" | "memory"
MODELS_TABLE = "models_table"  # data frame: one row a model; a click on a cell opens its row's details
OPEN_MODEL = "open_model"  # button: in Explore
DOWNLOAD_MODEL = "download_model"  # button, where the weights are not here: "Download", or "Try again"
CANCEL_DOWNLOAD = "cancel_download"  # button, while they are on their way
UNLOAD_MODEL = "unload_model"  # button, where the model is in memory
REMOVE_MODEL = "remove_model"  # button, where the model is from a file: no longer a model
LOAD_REPORT = "load_report"  # data frame, where the model was loaded: one row a tensor
DOWNLOAD_REPORT = "download_report"  # download button: the report as JSON

# Models: own checkpoints
CHECKPOINT_SOURCE = "checkpoint_source"  # segmented control: "folder" | "upload"
CHECKPOINT_FILE = "checkpoint_file"  # select box: a relative name in the folder VIT_ENGINE_CHECKPOINTS
CHECKPOINT_UPLOAD = "checkpoint_upload"  # file uploader
CHECKPOINT_PART = "checkpoint_part"  # select box, where a file has several: "teacher", "student", …
CHECKPOINT_HEADS = "checkpoint_heads"  # select box, where nothing says how many heads there are: a number, or None
ADD_CHECKPOINT = "add_checkpoint"  # button: make it a model
ADD_SERIES = "add_series"  # button, where it is of a series: make all of them models
INSPECTED_REPORT = "inspected_report"  # data frame: one row a tensor of the checkpoint
DOWNLOAD_INSPECTED = "download_inspected"  # download button: its report as JSON
OPEN_CHECKPOINT = "open_checkpoint"  # button, where it is a model: in Explore

# Session state without a widget
QUERY = "query"  # None for CLS, or (y, x): the point, as fractions 0..1 of the scaled picture's height and width
UPLOADED = "uploaded"  # sha256 of the uploaded picture in use, or None
SHOWN_MODEL = "shown_model"  # name of the model whose details the page Models shows; None for the one in use
