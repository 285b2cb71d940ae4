"""What stands over a pane: its method and, where that explains a target, which one."""

from collections.abc import Mapping
from html import escape

from dashboard.links.targets import AUTOMATIC, PICTURE, POINT, TEXT, is_untrained
from dashboard.services import targets
from dashboard.services.analyses import Analysis
from vit_engine import ModelSpec, find_method, find_target
from vit_engine.analysis.comparison import Pane
from vit_engine.grid import token_name
from vit_engine.trace.targets import NORM, ClassTarget, PatchTarget


def heading(pane: Pane, spec: ModelSpec, analysis: Analysis | None, pictures: Mapping[str, str]) -> str:
    """One line as HTML, cut off where it does not fit; on hover it stands in full.

    analysis: of the pane's model, where there is one. pictures: others, by what links call them, and their titles.
    """
    method = find_method(pane.method)
    short, full = method.title, method.title
    if "target" in method.depends_on:
        brief, label = _target(pane, spec, analysis, pictures)
        short, full = f"{short} for {brief}", f"{full} · target: {label}"
    text = f'<div class="pane-heading" title="{escape(full)}">{escape(short)}</div>'
    return text.encode(errors="backslashreplace").decode()  # a file's name need not be Unicode


def _target(pane: Pane, spec: ModelSpec, analysis: Analysis | None, pictures: Mapping[str, str]) -> tuple[str, str]:
    """The target in few words, and in full."""
    name = pane.target if analysis is None else targets.name_of(pane.target, analysis)
    if name.startswith(TEXT):
        words = f"“{name.removeprefix(TEXT)}”" if name != TEXT else "a text"
        return words, f"similarity to {words}"
    if name.startswith(PICTURE):
        title = pictures.get(name.removeprefix(PICTURE), "this picture")
        return title, f"similarity to {title}"
    if name == AUTOMATIC or name.startswith(POINT):  # which class or patch this is, the analysis will say
        return _before_analysis(name, spec)
    target = find_target(name, spec)
    if isinstance(target, ClassTarget):
        return target.class_name, target.label
    if isinstance(target, PatchTarget):
        return token_name((target.row, target.col)), target.label
    return "embedding norm", target.label


def _before_analysis(name: str, spec: ModelSpec) -> tuple[str, str]:
    if name.startswith(POINT):
        return "a patch", "similarity to a patch"
    if spec.class_names:
        return "likeliest class", "likeliest class"
    if is_untrained(spec):
        return "the middle patch", "similarity to the middle patch"
    return "embedding norm", find_target(NORM, spec).label
