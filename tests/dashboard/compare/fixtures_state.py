"""What the suites of Compare's links share: models that there are, and reading a link."""

from dataclasses import replace

from dashboard.compare.state import Comparing
from dashboard.links.codec import Available, Notices, from_link, names
from vit_engine import ModelSpec


def spec(name: str, *, depth: int, heads: int) -> ModelSpec:
    return ModelSpec(name, name.upper(), "test", patch_size=8, dim=8 * heads, depth=depth, heads=heads)


SPECS = {
    one.name: one
    for one in (
        replace(spec("demo_vit_p8", depth=6, heads=4), class_names=tuple(f"{shape}ing" for shape in "abcdefghijkl")),
        spec("demo_vit_p16", depth=6, heads=4),
        spec("tall", depth=13, heads=3),
        spec("file:a:3:7.pth@1", depth=1, heads=1),
    )
}


NAMES = names(Comparing)
AVAILABLE = Available(lambda name: (SPECS.get(name), ""), lambda _: None, "demo_vit_p8")


def read(**link: str | list[str]) -> tuple[Comparing, Notices]:
    lists = {name: [value] if isinstance(value, str) else value for name, value in link.items()}
    values, notices = from_link(Comparing, lists, AVAILABLE)
    return Comparing(**values), notices
