"""From a path to tensors by name, safely; and what a file is that has none."""
