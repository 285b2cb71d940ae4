"""What can go wrong, and what to do about it.

VitEngineError                 anything that a user of the engine may want to catch
├── SpecError (ValueError)     a name, size, layer, head or query that does not exist here
├── CheckpointError            weights that are absent, unreadable, or do not fit the model
│   └── DownloadError          weights that could not be fetched
├── ImageError (ValueError)    bytes that are no image, or one that cannot be used
├── ResourceError              more memory than there is, or than the given budget
└── NumericalError (ArithmeticError)   activations that overflow, so that attention is no number

Every message says what is wrong, what was expected, what was got, and what to do.
"""


class VitEngineError(Exception):
    """The root of all errors that the engine raises on purpose."""


class SpecError(VitEngineError, ValueError):
    """A model, size, layer, head or query that does not exist."""


class CheckpointError(VitEngineError):
    """Weights that are absent, unreadable, or do not fit the model."""


class DownloadError(CheckpointError):
    """Weights that could not be fetched."""


class ImageError(VitEngineError, ValueError):
    """Bytes that are not a picture, or a picture that cannot be used."""


class ResourceError(VitEngineError):
    """A request for more memory than there is, or than the budget allows."""


class NumericalError(VitEngineError, ArithmeticError):
    """Activations that overflow: what follows from them is no number."""
