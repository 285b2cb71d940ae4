"""What heads are ranked and compared by: a method, for a token and, where it needs one, a target."""

from dataclasses import dataclass

from dashboard.links.selection import Selection
from dashboard.services.analyses import Analysis, Request
from dashboard.shell import method_control, target_control
from dashboard.shell.formatting import plain
from vit_engine import Gradients, Method, find_method
from vit_engine.grid import Patches, Query


@dataclass(frozen=True, eq=False)
class Asked:
    """A method with all that it needs."""

    method: Method
    patch: Patches | None  # the chosen one, or a region; None for the CLS token
    gradients: Gradients | None  # of the target, where the method needs them

    @property
    def query(self) -> Query:
        return "cls" if self.patch is None else self.patch

    @property
    def words(self) -> str:
        """Of which token and which target: "Query: CLS token. Target: class 3, heart"."""
        target = "" if self.gradients is None else f" Target: {plain(self.gradients.target.label)}."
        return f"{method_control.token(self.method, self.patch)}.{target}"


def ask(request: Request, analysis: Analysis, selection: Selection) -> Asked | None:
    """The chosen method, progress shown while the model is run for it; None, with the reason shown, if it fails."""
    method, gradients = find_method(selection.method), None
    if target_control.is_missing(method, selection):
        return None
    if method.needs.target and (gradients := target_control.gradients(request, analysis, selection)) is None:
        return None
    return Asked(method, analysis.patch(selection.query), gradients)
