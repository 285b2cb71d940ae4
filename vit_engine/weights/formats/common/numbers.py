"""What counts as a number in a JSON file: to Python true is 1, and NaN, Infinity and 10⁴⁰⁰ are numbers."""

from typing import Any

LARGEST = 1_000_000  # of sizes in pixels, layers, heads, dimensions
_FINITE = 1e30  # float32 ends at 3.4e38


def is_whole(value: Any) -> bool:
    """A number that counts something: at least 1, and of a size that counts of models have."""
    return type(value) is int and 1 <= value <= LARGEST


def is_number(value: Any) -> bool:
    """A finite number, whole or not."""
    return type(value) in {int, float} and -_FINITE <= value <= _FINITE


def same(said: Any, got: Any) -> bool:
    """Whether a value of a configuration is the one that tensors show: 1 is not true, and 12.0 is no count."""
    return type(said) is type(got) and said == got
