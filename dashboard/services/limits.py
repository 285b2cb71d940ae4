"""How much the server keeps and takes; read when it starts."""

import os


def _setting(variable: str, default: int) -> int:
    return int(os.environ.get(variable, default))


TRACE_BYTES = _setting("VIT_DASHBOARD_TRACE_BYTES", 1 << 30)  # analyses in memory
FEATURE_BYTES = _setting("VIT_DASHBOARD_FEATURE_BYTES", 1 << 29)  # tokens in memory
GRADIENT_BYTES = _setting("VIT_DASHBOARD_GRADIENT_BYTES", 1 << 30)  # gradients of targets in memory
MAP_BYTES = 1 << 26  # maps that are made of what is in memory
MODEL_BYTES = _setting("VIT_DASHBOARD_MODEL_BYTES", 4 << 30)  # models in memory
CHECKPOINT_BYTES = _setting("VIT_DASHBOARD_CHECKPOINT_BYTES", 4 << 30)  # uploaded checkpoints, on disk
PICTURE_MEGABYTES = 64  # one picture's file; a checkpoint's is Streamlit's server.maxUploadSize
SESSION_PICTURE_BYTES = 1 << 27  # what one session has uploaded and still holds; of checkpoints, as much as the largest
SESSION_FILES = 32  # of each kind
RECEIVED_BYTES = _setting("VIT_DASHBOARD_RECEIVED_BYTES", 4 << 30)  # uploads that all sessions hold, in memory
UPLOAD_BYTES = _setting("VIT_DASHBOARD_UPLOAD_BYTES", 1 << 29)  # pixels of uploaded pictures in memory
MASK_BYTES = 1 << 27  # pixels of uploaded masks in memory
KEPT_PIXELS = 16_000_000  # of an uploaded picture: a larger one is reduced to so many
PICTURE_SECONDS = _setting("VIT_DASHBOARD_PICTURE_SECONDS", 10)  # of a processor, to decode an uploaded picture
PICTURES_AT_ONCE = _setting("VIT_DASHBOARD_PICTURES_AT_ONCE", 4)  # processes that decode: of up to KEPT_PIXELS, and two
MAX_PATCHES = 12_000  # of one analysis
MAX_OWN = 100  # models from files
MAX_SERIES = 24  # members of a series that are added together
MAX_UPLOADS = 1000  # uploaded checkpoints: each takes a little more of the disk than its bytes
MAX_FILES, MAX_DEPTH = 1000, 5  # of the checkpoint folder: names that are listed, folders below each other
MAX_ENTRIES = 100_000  # of the checkpoint folder: files and folders that a listing looks at
