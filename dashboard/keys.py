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
MODEL = (
    "model"  # select box: a name from vit_engine.list_models(), or of a file or the hub: "file:…", "upload:…", "hf:…"
)
SIZE = "size"  # select box: short side in pixels, one of dashboard.links.selection.SIZES
OPACITY = "opacity"  # slider: 0..100 %, of the attention over the picture
COLOURS = "colours"  # select box: one of vit_engine.report.colours.COLOUR_SCALES, or "auto"
SCALE = "scale"  # segmented control: "shared" | "own"
CLIP = "clip"  # select slider: percentile at which the colour scale ends

SEEN = "seen"  # number input, not seen: which values that the server gave to widgets the browser has
ADDRESS_SEEN = "address_seen"  # number input, not seen: which of the addresses that were written the browser has
CHECKPOINT_STEP = "checkpoint_step"  # select slider, where the model is of a series: a name of a member; steps MODEL

WINDOW = "window_events"  # component, not seen: tells whether the window is so narrow that columns stand in a row

# Explore
LAYER = "layer"  # slider: 0..depth - 1
METHOD = "method"  # select box, here and on Heads, where there are several: a name in vit_engine.METHODS
METHOD_CARD = "method_card"  # popover beside it: what the method is, its formula, source, cost, when it misleads
METHOD_OPTIONS = "method_options"  # popover, where the method has options
# Widgets of its options, the option's name behind it: "option_fuse". Segmented control or select box where it is one of
# several words, else a slider.
OPTION = "option"
TARGET_CHOICE = "target_choice"  # select box, where the method depends on a target: as TARGET
TARGET_TEXT = "target_choice_text"  # text input, where the target is a text
HEAD = "head"  # segmented control: "mean" | "max" | "min" | "0" | "1" | ...
VIEW = "view"  # segmented control: "over" | "beside"
RESET_QUERY = "reset_query"  # button: back to the CLS token
ALL_PATCHES = "all_patches"  # button, where the model is read from the mean of its patches: a region of all of them
SET_ASIDE = "set_aside"  # button, where an attention sink is a patch: the other value of SINKS
TABLE_LAYERS = "table_layers"  # segmented control: "layer" | "all"
TABLE_KEYS = "table_keys"  # segmented control: "all" | "patches"

# Explore: what is drawn
OVERLAY = "overlay"  # plotly chart; traces "attention" (click = query), "query"; with the picture beside it, "patches"
HEAD_GRID = "head_grid"  # plotly chart; traces "attention", "cells" (click = head), which has a cell a head
MOSAIC = "mosaic"  # plotly chart; traces "attention", "cells" (click = layer and head), as those of the grid
ENTROPY_BY_DEPTH = "entropy_by_depth"  # plotly chart; a trace "head N" each, and "mean"
HEAD_STATISTICS = "head_statistics"  # data frame: one row a (layer, head); a click on a cell opens its row's head
DOWNLOAD_STATISTICS = "download_statistics"  # download button: CSV of all columns and layers

# Explore: the large map as files
MAP_FILES = "map_files"  # popover
DOWNLOAD_MAP_PNG = "download_map_png"  # download button: the map as it is drawn
DOWNLOAD_MAP_PDF = "download_map_pdf"  # download button: the same, to print
DOWNLOAD_MAP_SVG = "download_map_svg"  # download button: the same, to edit
DOWNLOAD_MAP_CSV = "download_map_csv"  # download button: one row a patch
DOWNLOAD_MAP = "download_map"  # download button: a zip of both, the maps of all heads, run.json, and what was measured

# Explore: what the large map is worth
WORTH = "worth"  # segmented control: None (closed) | "faithfulness" | "pointing"
BASELINE = "worth_baseline"  # segmented control: what takes the place of patches, a name in BASELINES of the engine
WORTH_STEPS = "worth_steps"  # segmented control: "8" | "16" | "32"
MEASURE = "measure"  # button, where the curves of this map are not here yet
# Plotly charts; traces "map", "random orders" (their mean), "range" (of theirs), "randomised weights"
INSERTION = "insertion"
DELETION = "deletion"
DOWNLOAD_CURVES = "download_curves"  # download button: CSV, one row a step
DRAG_MARKS = "drag_marks"  # segmented control: what a drag on the large map marks, "object" | "query"
MASK_FILE = "mask_file"  # popover
MASK_UPLOAD = "mask_upload"  # file uploader
SCENE_MASK = "scene_mask"  # button, where the picture was generated: its own objects
REMOVE_OBJECT = "remove_object"  # button, where there is an object
RANKED_METHODS = "ranked_methods"  # segmented control: "shown" | "all"
POINTING_RANKING = "pointing_ranking"  # data frame: one row a head, best first; a click on a cell opens its row's head
DOWNLOAD_POINTING = "download_pointing"  # download button: CSV of all columns

# Tokens
TOKENS_VIEW = "tokens_view"  # segmented control: "pca" | "similarity" | "norms"
FACET = "facet"  # select box: "token" | "query" | "key" | "value"
TOKEN_HEAD = "token_head"  # select box, where the facet is not "token": "all" | "0" | "1" | ...
TOKEN_LAYER = "token_layer"  # slider: 0..depth - 1
FOREGROUND = "foreground"  # select box, of the PCA: "" (off) | "high" | "low"
TOKEN_RESET_ZOOM = "token_reset_zoom"  # button, where it is zoomed
OPEN_KEYS = "open_keys"  # button on Explore, where one head is chosen: its keys on the page Tokens

# Tokens: what is drawn
TOKEN_MAP = "token_map"  # plotly chart; traces "picture", "tokens" (a click in either = query), "query", "outliers"
TOKEN_PROFILE = (
    "token_profile"  # plotly chart, of the norms; traces "layers" (click = layer), "median", "longest", "CLS", …
)
TOKEN_EXPORT = "token_export"  # popover
DOWNLOAD_TOKENS = "download_tokens"  # download button: NPZ of the view's arrays
DOWNLOAD_TOKENS_PNG = "download_tokens_png"  # download button
DOWNLOAD_TOKENS_SVG = "download_tokens_svg"  # download button

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
CHECKPOINT_SOURCE = "checkpoint_source"  # segmented control: "folder" | "upload" | "hub"
CHECKPOINT_FILE = "checkpoint_file"  # select box: a relative name in the folder VIT_ENGINE_CHECKPOINTS
CHECKPOINT_UPLOAD = "checkpoint_upload"  # file uploader
HUB_MODEL = "hub_model"  # text input: a name on the Hugging Face hub, "org/name", or the address of its page
DOWNLOAD_HUB_MODEL = "download_hub_model"  # button, where it is not on this server: "Download", or "Try again"
CANCEL_HUB_DOWNLOAD = "cancel_hub_download"  # button, while it is on its way
LOOK_UP_AGAIN = "look_up_again"  # button, where it could not be looked up
CHECKPOINT_PART = "checkpoint_part"  # select box, where a file has several: "teacher", "student", …
CHECKPOINT_HEADS = "checkpoint_heads"  # select box, where nothing says how many heads there are: a number, or None
ADD_CHECKPOINT = "add_checkpoint"  # button: make it a model
ADD_SERIES = "add_series"  # button, where it is of a series: make all of them models
INSPECTED_REPORT = "inspected_report"  # data frame: one row a tensor of the checkpoint
DOWNLOAD_INSPECTED = "download_inspected"  # download button: its report as JSON
OPEN_CHECKPOINT = "open_checkpoint"  # button, where it is a model: in Explore

# Heads: which heads to look at
HEADS_STATISTIC = "heads_statistic"  # select box: a name in vit_engine.trace.statistics.STATISTICS
HEADS_PROFILE = "heads_profile"  # segmented control: "statistic" | "entropy" | "distance"
HEADS_OVERLAY = "heads_overlay"  # multi-select: names of models, besides the one in use
HEADS_RANKING = "heads_ranking"  # segmented control: "focused" | "local" | "global" | "unlike" | "redundant"
RANKED_HEAD = "ranked_head"  # buttons ranked_head_0, ranked_head_1, …: open the ranking's first, second, … head
HEADS_SCOPE = "heads_scope"  # segmented control: "layer" | "all"
HEADS_LAYER = "heads_layer"  # slider, where the scope is one layer: 0..depth - 1
HEADS_ORDER = "heads_order"  # segmented control: "cluster" | "number"
HEADS_REDUNDANT = "heads_redundant"  # select slider: bits, one of dashboard.heads.state.THRESHOLDS

# Heads: what is drawn
STATISTIC_MAP = "statistic_map"  # plotly chart; a trace "statistic" (click = open that head)
PROFILE = "profile"  # plotly chart; for each model, by its title, the traces "heads of TITLE", "TITLE" (their mean)
SIMILARITY = "similarity"  # plotly chart; a trace "divergence" (click = open the row's head)
DOWNLOAD_STATISTIC = "download_statistic"  # download button: CSV, as are the next three
DOWNLOAD_PROFILE = "download_profile"  # download button
DOWNLOAD_RANKINGS = "download_rankings"  # download button: all five
DOWNLOAD_SIMILARITY = "download_similarity"  # download button: one row a pair of heads

# Tokens: a second picture, and what corresponds in the two
SECOND_SOURCE = "second_source"  # segmented control: "none" | "samples" | "upload"
SECOND_SAMPLE = "second_sample"  # select box, where the source is "samples": a name from dashboard.samples.SAMPLES
SECOND_UPLOAD = "second_upload"  # file uploader, where the source is "upload"
REMOVE_SECOND = "remove_second"  # button, where an uploaded picture is shown and its file is not
SECOND_SIZE = "second_size"  # select box: short side in pixels, or 0 for that of the first picture
COMPARE_PAIR = "compare_pair"  # button, where the picture is one of a stereo pair: its other eye as the second
MATCHES = "matches"  # select slider: how many of the clearest matches are drawn, 0..200 in steps of 5
RATIO = "ratio"  # select slider: of Lowe's test, one of dashboard.tokens.state.RATIOS
# Plotly chart; traces "first", "second" (click = query), "lines 0", "lines 1", …, "ends", "query", "best match"
TOKEN_PAIR = "token_pair"
DOWNLOAD_MATCHES = "download_matches"  # download button: CSV, one row a match

# Session state without a widget
# None for CLS, or (y, x): the point, as fractions 0..1 of the scaled picture's height and width; or (top, left, bottom,
# right) of a region, as fractions likewise
QUERY = "query"
OPTIONS = "options"  # of the method: (name, value) of those that are not at their default
# "" (automatic: the likeliest class, or "norm" without a classifier), "281" (a class), "norm", "point:Y,X" (fractions
# as of QUERY), "picture:NAME" or "text:…"
TARGET = "target"
# None, or what a map is to find: (top, left, bottom, right) of a box, as fractions of the scaled picture; "scene", the
# objects of a generated scene; or "sha256:…" of an uploaded mask
OBJECT = "object"
SINKS = "sinks"  # "shown" | "aside": whether the colour scales of Explore leave attention sinks out
UPLOADED = "uploaded"  # sha256 of the uploaded picture in use, or None
SECOND_UPLOADED = "second_uploaded"  # of Tokens: the same of the second picture
# Of Tokens: None where the query is that of QUERY, or (y, x): a point of the second picture, as fractions of it
ASKS = "asks"
SHOWN_MODEL = "shown_model"  # name of the model whose details the page Models shows; None for the one in use
PANES = "panes"  # tuple of vit_engine.analysis.comparison.Pane: what Compare shows
REFERENCE = "reference"  # number of the pane that Compare compares with
ZOOM = "zoom"  # None for the whole picture, or (top, left, bottom, right) as fractions of the scaled picture
TOKEN_ZOOM = "token_zoom"  # of Tokens: None, or the same of its picture

# Compare: above the panes
COMPARE_SHOW = "compare_show"  # segmented control: "map" | "difference" | "mask"
COMPARE_SCALE = "compare_scale"  # segmented control: "shared" | "own" | "log"
COMPARE_KEEP = "compare_keep"  # select slider: per cent of the mass in masks, one of dashboard.compare.state.KEEPS
PANES_SEEN = "panes_seen"  # number input, not seen: how often the panes had been made others when the browser got them
ADD_PANE = "add_pane"  # button: one more, a copy of the last
# Buttons preset_training, preset_patches, preset_last, preset_layers, preset_random, preset_supervision, preset_heads,
# preset_tokens, preset_methods.
PRESET = "preset"

# Compare: of each pane; the number of the pane, from 0, follows: "pane_model_0", as of_pane() says
PANE_MODEL = "pane_model"  # select box: a model's name
PANE_LAYER = "pane_layer"  # slider, where its method depends on the layer: 0..depth - 1
PANE_HEAD = "pane_head"  # select box, where its method depends on the head: "mean" | "max" | "min" | "0" | "1" | ...
PANE_METHOD = "pane_method"  # select box: a name in METHODS or TOKEN_METHODS of vit_engine.analysis.methods
# Segmented control, where its method depends on a query: "shared" | "cls" | "own", what was shared when it was chosen
PANE_QUERY = "pane_query"
# Widgets of its method's options, as OPTION: "pane_option_start_0", and of its target, as TARGET_CHOICE
PANE_OPTION = "pane_option"
PANE_TARGET = "pane_target"  # select box, where its method depends on a target
PANE_TARGET_TEXT = "pane_target_0_text"  # text input of the first pane, where its target is a text; of others likewise
PANE_REFERENCE = "pane_reference"  # button: compare the others with this one
PANE_DUPLICATE = "pane_duplicate"  # button
PANE_REMOVE = "pane_remove"  # button
PANE_LEFT = "pane_left"  # button: one place to the left
PANE_RIGHT = "pane_right"  # button
PANE_DOWNLOAD = "pane_download"  # button, where the model's weights are not here
PANE_RETRY = "pane_retry"  # button, where an analysis failed

# Compare: what is drawn
COMPARISON = "comparison"  # plotly chart; for pane A the traces "attention A" (click = query), "query A", "outline A"
COMPARISON_EVENTS = "comparison_events"  # component, not seen: tells clicks and zooms of the chart, as events_of() says
RESET_ZOOM = "reset_zoom"  # button, where it is zoomed
AGREEMENT = "agreement"  # data frame: one row a pair of panes
COMPARE_STEPS = "compare_steps"  # segmented control: as WORTH_STEPS, of the curves of all panes
MEASURE_PANES = "measure_panes"  # button: measure the faithfulness of all panes, in the background
PANES_FAITHFULNESS = "panes_faithfulness"  # data frame, where it was measured: one row a pane
DOWNLOAD_PANES_FAITHFULNESS = "download_panes_faithfulness"  # download button: CSV
DOWNLOAD_AGREEMENT = "download_agreement"  # download button: CSV
STATISTIC = "statistic"  # select box: a name in vit_engine.trace.statistics.STATISTICS that means the same in all panes
COMPARE_ROWS = "compare_rows"  # segmented control: "layer" | "all"
COMPARE_ORDER = "compare_order"  # segmented control, where panes differ in their columns: "head" | "difference"
COMPARE_HEADS = "compare_heads"  # data frame: one row a head, a column group a pane
DOWNLOAD_COMPARE_HEADS = "download_compare_heads"  # download button: CSV
COMPARE_CHART = "compare_chart"  # segmented control: "box" | "violin"
DISTRIBUTION = "distribution"  # plotly chart: a box or violin per layer and model
DOWNLOAD_BUNDLE = "download_bundle"  # download button: a zip of everything


def of_pane(key: str, number: int) -> str:
    """The key of a pane's widget: "pane_model_0" for PANE_MODEL of the first."""
    return f"{key}_{number}"


def events_of(chart: str) -> str:
    """The key of the component, not seen, that tells clicks in a chart: "overlay_events" for OVERLAY."""
    return f"{chart}_events"


def cursor_of(chart: str) -> str:
    """The key of the component, not seen, that draws one cursor in all panels of a chart."""
    return f"{chart}_cursor_events"
