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
MODEL = "model"  # select box: a name from vit_engine.list_models()
SIZE = "size"  # select box: short side in pixels, one of dashboard.state.SIZES
OPACITY = "opacity"  # slider: 0..100 %, of the attention over the picture
COLOURS = "colours"  # select box: one of dashboard.figures.COLOUR_SCALES, or "auto"
SCALE = "scale"  # segmented control: "shared" | "own"
CLIP = "clip"  # select slider: percentile at which the colour scale ends

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

# Session state without a widget
QUERY = "query"  # None for CLS, or (y, x): the point, as fractions 0..1 of height and width
UPLOADED = "uploaded"  # sha256 of the uploaded picture in use, or None
