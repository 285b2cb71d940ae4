"""Which versions made a result: what its record says of them."""

import platform

import numpy as np
import PIL
import torch

import vit_engine as ve


def versions() -> dict[str, str]:
    return {
        "vit_engine": ve.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "python": platform.python_version(),
    }
