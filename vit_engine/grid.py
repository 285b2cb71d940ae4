"""How tokens lie on pixels, and how the tokens that are asked about are named."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from vit_engine.errors import SpecError

# A patch (row, col), or a region of patches (top, left, bottom, right), the last ones included.
Patches = tuple[int, int] | tuple[int, int, int, int]
Query = str | Patches  # or "cls"
_PATCHES = "a patch (row, col) or a region (top, left, bottom, right)"


@dataclass(frozen=True)
class TokenGrid:
    """How a sequence of tokens lies on a picture: prefix tokens first, then patches row by row.

    All arithmetic between tokens and pixels is here. A query is "cls", a patch (row, col) or a
    region of patches (top, left, bottom, right), the last ones included.
    """

    prefix: int
    rows: int
    cols: int
    patch_size: int

    def __post_init__(self) -> None:
        if self.prefix < 0 or min(self.rows, self.cols, self.patch_size) < 1:
            raise SpecError(
                f"a token grid needs prefix ≥ 0 and rows, cols, patch_size ≥ 1; got prefix {self.prefix}, "
                f"{self.rows}×{self.cols} patches of {self.patch_size} px."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols)."""
        return self.rows, self.cols

    @property
    def patches(self) -> int:
        return self.rows * self.cols

    @property
    def tokens(self) -> int:
        return self.prefix + self.patches

    @property
    def height(self) -> int:
        """Pixels."""
        return self.rows * self.patch_size

    @property
    def width(self) -> int:
        """Pixels."""
        return self.cols * self.patch_size

    @property
    def diagonal(self) -> float:
        """Of the picture, in pixels."""
        return math.hypot(self.height, self.width)

    def token(self, query: Query) -> int:
        """Index of a query among all tokens; SpecError where there is no such token, and for a region of several."""
        tokens = self.query_tokens(query)
        if len(tokens) > 1:
            raise SpecError(f"query must be 'cls' or one patch (row, col) here; got {token_name(query)}.")
        return int(tokens[0])

    def query_tokens(self, query: Query) -> np.ndarray:
        """Indices of a query's tokens among all tokens, int64, ascending; SpecError where there are no such tokens."""
        if isinstance(query, str):
            if query == "cls" and self.prefix:
                return np.zeros(1, dtype=np.int64)
            raise SpecError(f"query must be 'cls' (with a CLS token present), {_PATCHES}; got {query!r}.")
        top, left, bottom, right = self._corners(query)
        rows, cols = np.arange(top, bottom + 1), np.arange(left, right + 1)
        return (self.prefix + rows[:, None] * self.cols + cols).ravel()

    def _corners(self, query: tuple[int, ...]) -> tuple[int, int, int, int]:
        """(top, left, bottom, right) of a patch or a region; SpecError unless it lies on the grid."""
        places = tuple(query) if isinstance(query, Iterable) else ()
        if len(places) not in {2, 4} or not all(isinstance(place, Integral) for place in places):
            raise SpecError(f"query must be 'cls', {_PATCHES}, in whole numbers; got {query!r}.")
        top, left, bottom, right = (int(place) for place in (*query, *query)[:4])
        if not all(0 <= row < self.rows and 0 <= col < self.cols for row, col in ((top, left), (bottom, right))):
            what = "query patch must have" if len(query) == 2 else "query region (top, left, bottom, right) must have"
            raise SpecError(f"{what} row in 0..{self.rows - 1} and col in 0..{self.cols - 1}; got {query}.")
        if top > bottom or left > right:
            raise SpecError(f"query region (top, left, bottom, right) is upside down or mirrored; got {query}.")
        return top, left, bottom, right

    def box(self, patches: Patches) -> tuple[int, int, int, int]:
        """The edges (y0, x0, y1, x1) of a patch or a region, in pixels from the top left."""
        top, left, bottom, right = self._corners(patches)
        size = self.patch_size
        return top * size, left * size, (bottom + 1) * size, (right + 1) * size

    def patch_at(self, y: float, x: float) -> tuple[int, int]:
        """The patch (row, col) that holds the point (y, x), in pixels from the top left; clamped to the picture."""
        row = min(max(int(y // self.patch_size), 0), self.rows - 1)
        col = min(max(int(x // self.patch_size), 0), self.cols - 1)
        return row, col

    def centre(self, row: int, col: int) -> tuple[float, float]:
        """The middle (y, x) of a patch, in pixels from the top left."""
        return (row + 0.5) * self.patch_size, (col + 0.5) * self.patch_size

    def offsets(self) -> np.ndarray:
        """Distances in pixels by difference of patch position: float32 (2 * rows - 1, 2 * cols - 1).

        The entry [rows - 1 + Δrow, cols - 1 + Δcol] is the distance between two patches that far apart.
        """
        down = np.arange(1 - self.rows, self.rows, dtype=np.float32)
        across = np.arange(1 - self.cols, self.cols, dtype=np.float32)
        return np.hypot(down[:, None], across[None, :]) * np.float32(self.patch_size)


def whole_patches(height: int, width: int, patch_size: int) -> tuple[int, int]:
    """Patches (rows, cols) of a picture of this size in pixels; SpecError unless they are whole."""
    if height < 1 or width < 1 or height % patch_size or width % patch_size:
        raise SpecError(
            f"picture sides must be positive multiples of the patch size, {patch_size} px; got {height}×{width}."
        )
    return height // patch_size, width // patch_size


def token_name(query: Query) -> str:
    """The chosen tokens in words: "CLS", "patch row 3, col 5", or "region of rows 2–5, cols 3–7", the last included."""
    if isinstance(query, str):
        return "CLS"
    if len(query) == 2:
        return f"patch row {query[0]}, col {query[1]}"
    top, left, bottom, right = query
    return f"region of rows {top}–{bottom}, cols {left}–{right}"
