"""How long runs tell how far they are."""

from collections.abc import Callable

# Called with the part that is done, 0..1, and what is going on; what it raises stops the run.
Progress = Callable[[float, str], None]
