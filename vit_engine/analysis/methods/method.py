"""What a method says of itself, and how it is asked: all that a method's own file need not say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from vit_engine.analysis.methods.options import Option, Value, check_first_layer, first_layer, read_options
from vit_engine.analysis.run import Run, Traced
from vit_engine.analysis.tokens.pca import PcaMap
from vit_engine.errors import NumericalError, SpecError
from vit_engine.grid import Query, TokenGrid, token_name
from vit_engine.spec import ModelSpec
from vit_engine.trace.attention_map import WEIGHT, AttentionMap, Quantity, head_number, reduce_heads
from vit_engine.trace.targets import Target

RAW = "raw"  # the method where none is named
Compute = Callable[..., np.ndarray]
PER_HEAD = frozenset({"layer", "head"})


class Needs(Enum):
    """What a method must have. A run that has its model and the prepared picture makes what is missing itself."""

    TRACE = "a trace"
    TOKENS = "a trace and what its tokens carry"
    READOUTS = "a trace and the readouts of a target"  # differentiate(backward=False)
    GRADIENTS = "a trace and the gradient of a target"  # differentiate()
    MODEL = "a trace, its model and the prepared picture"  # which it runs again, often

    @property
    def target(self) -> bool:
        """Whether it is something of a target."""
        return self in {Needs.READOUTS, Needs.GRADIENTS}


@dataclass(frozen=True, eq=False)
class Attribution:
    """What a method says for one choice of layer, head, query and target."""

    heads: np.ndarray  # float32 (heads, rows, cols), or (1, rows, cols) of a method that does not depend on the head
    map: AttentionMap  # of the head, or of all heads reduced to one
    pca: PcaMap | None = None  # of a method whose maps have colours of their own
    target: Target | None = None  # whose evidence the map is, of a method that depends on one
    note: str = ""  # what must be known of this very map, as a sentence: why it is zero everywhere


@dataclass(frozen=True)
class Method:
    """A way from a run to a map.

    compute(run, …), shares(run, …) and pca(run, …) get what the method depends on of layer (its number), query, target
    (a Target) and fitted_to, and its options, by keyword. compute returns the maps of all heads, float32 (heads, rows,
    cols), or (1, rows, cols) where nothing depends on the head; shares how each of them is shared out among the
    patches, float64 (heads, patches), rows that sum to 1.
    """

    name: str  # in links, panes and on the command line
    title: str
    description: str  # what the map shows, in a sentence
    source: str  # the paper or the repository that it is from
    value: str  # what a value is, after "Attention weight: "
    compute: Compute
    # As compute, of several layers at once, where that is cheaper: gets layers, their numbers, and gives maps by layer.
    compute_layers: Callable[..., Mapping[int, np.ndarray]] | None = None
    unit: str = WEIGHT  # of the values
    needs: Needs = Needs.TRACE
    signed: bool = False  # whether values may be negative
    depends_on: frozenset[str] = PER_HEAD | {"query"}  # of "layer", "head", "query", "target", "fitted_to"
    role: Literal["query", "key"] = "query"  # what the chosen token is
    shares: Compute | None = None  # where float32 maps are too coarse for it; None normalises the maps
    quantity: Quantity = Quantity.EXTENSIVE  # what the values are
    pca: Callable[..., PcaMap] | None = None  # of a method whose map is a principal component: all three, with colours
    options: tuple[Option, ...] = ()  # what else can be chosen
    formula: str = ""  # as LaTeX, for a method card
    cost: str = ""  # what it takes, beside a plain forward pass, as a sentence
    misleads: str = ""  # when not to trust it, as a sentence or two
    empty: str = ""  # why a map of it may be zero everywhere, as a sentence

    def check(
        self,
        spec: ModelSpec,
        grid: TokenGrid,
        *,
        layer: int,
        head: int | str,
        query: Query,
        options: Mapping[str, Value],
    ) -> None:
        """SpecError for what attribute() would refuse of these, before anything is run."""
        number = spec.layer_number(layer)
        values = read_options(self.options, options, spec, self.name)
        if "layer" in self.depends_on:
            check_first_layer(self.options, values, number)
        if "head" in self.depends_on:
            head_number(head, spec)
        if "query" in self.depends_on:
            grid.query_tokens(query)

    def attribute(
        self,
        run: Traced,
        *,
        layer: int = -1,
        head: int | str = "mean",
        query: Query = "cls",
        target: Target | int | str | None = None,
        fitted_to: Sequence[int] = (),
        options: Mapping[str, Value] = MappingProxyType({}),
    ) -> Attribution:
        """The maps of all heads, and the one that is asked for; what the method does not depend on changes nothing.

        run: or a trace alone. layer: from 0, negative from the last. head: a number from 0, or "mean", "max", "min"
        over heads, patch by patch. query: as in AttentionTrace.rows(). target: as find_target() takes it; None is the
        run's own, or the likeliest class. fitted_to: layers, counted from 0, that share the axes of principal
        components; none is the layer alone. options: values by name, as {"start": 2}, of the method's own, with the
        papers' defaults; explain() takes the same by keyword. Raises SpecError for a layer, head, query, target or
        option that is not here, for a value that an option does not take, and where the method needs more than the run
        has.
        """
        run = self._able(Run.of(run))
        spec = run.trace.spec
        number = spec.layer_number(layer)
        asked = run.target(target) if "target" in self.depends_on else None
        places: dict[str, Any] = {"layer": number, "query": query, "target": asked, "fitted_to": fitted_to}
        chosen = self._chosen(**places) | read_options(self.options, options, spec, self.name)
        heads, pca = self._finite(self.compute(run, **chosen)), self.pca and self.pca(run, **chosen)
        one = reduce_heads(heads, head, spec) if "head" in self.depends_on else heads[0]
        label = self._label(self._chosen(layer=number, head=head, query=query, target=asked), options)
        shown = AttentionMap(one, run.trace.grid, label, self.unit, self.quantity, asked, self.signed)
        return Attribution(heads, shown, pca, asked, "" if one.any() else self.empty)

    def by_layer(
        self, run: Traced, *, query: Query = "cls", options: Mapping[str, Value] = MappingProxyType({}), **choices: Any
    ) -> dict[int, Attribution]:
        """attribute() of each traced layer, in order; of a method that does not depend on it once, at the deepest.

        Layers below one that an option names as the first that counts are left out.
        """
        run = self._able(Run.of(run))
        asked = read_options(self.options, options, run.trace.spec, self.name)
        first = first_layer(self.options, asked)
        deepest = max(run.trace.layers)
        counting = [layer for layer in run.trace.layers if layer >= first] if "layer" in self.depends_on else []
        layers, method = counting or [deepest], self
        if self.compute_layers is not None:
            maps = self.compute_layers(run, layers=layers, **self._chosen(query=query), **asked)
            method = replace(self, compute=lambda _, *, layer, **__: maps[layer])
        return {layer: method.attribute(run, layer=layer, query=query, options=options, **choices) for layer in layers}

    def distributions(
        self,
        run: Traced,
        *,
        layer: int,
        query: Query = "cls",
        target: Target | int | str | None = None,
        options: Mapping[str, Value] = MappingProxyType({}),
    ) -> np.ndarray:
        """How each head's map is shared out among the patches: float64 (heads, patches), rows that sum to 1.

        Of a signed map its positive part; a map without mass is even. Arguments and errors of attribute().
        """
        run = self._able(Run.of(run))
        spec = run.trace.spec
        asked = run.target(target) if "target" in self.depends_on else None
        chosen = self._chosen(layer=spec.layer_number(layer), query=query, target=asked)
        chosen |= read_options(self.options, options, spec, self.name)
        if self.shares is not None:
            return self.shares(run, **chosen)
        masses = self.compute(run, **chosen).reshape(-1, run.trace.grid.patches).astype(np.float64).clip(min=0)
        totals = masses.sum(axis=1, keepdims=True)
        return np.where(totals > 0, masses / np.where(totals > 0, totals, 1), 1 / masses.shape[1])

    @property
    def per_head(self) -> bool:
        """Whether there is a map of each head of each layer, so that heads can be compared."""
        return self.depends_on >= PER_HEAD

    @property
    def phrase(self) -> str:
        """The title within a sentence: "column attention"; "PCA of tokens" and "LeGrad" as they are."""
        first = self.title.partition(" ")[0]
        return self.title[:1].lower() + self.title[1:] if first[1:].islower() else self.title

    def _able(self, run: Run) -> Run:
        """The run, if it has what the method needs: the one place where that is refused."""
        whole = run.loaded is not None and run.prepared is not None
        has = {Needs.TRACE: True, Needs.TOKENS: run.features is not None, Needs.MODEL: False}
        if not (whole or has.get(self.needs, run.gradients is not None)):
            more = " or Run(trace, features=…)" if self.needs is Needs.TOKENS else ""
            more = " or Run(trace, gradients=…)" if self.needs.target else more
            raise SpecError(
                f"the method {self.name!r} needs {self.needs.value}; got a trace alone. "
                f"Pass Run(trace, loaded, prepared){more}."
            )
        return run

    def _finite(self, maps: np.ndarray) -> np.ndarray:
        """The maps; NumericalError where they are no numbers."""
        if not np.isfinite(maps).all():
            raise NumericalError(
                f"the map of the method {self.name!r} overflows: numbers on its way are too large for float32. Use a "
                "model in float64: loaded.model.double()."
            )
        return maps

    def _chosen(self, **choices: Any) -> dict[str, Any]:
        """Of these choices, those that the method depends on: compute has no other arguments."""
        return {name: value for name, value in choices.items() if name in self.depends_on}

    def _label(self, chosen: dict[str, Any], options: Mapping[str, Value]) -> str:
        """ "column attention · layer 3 · head mean · key CLS"; raw attention, the usual method, goes without saying."""
        parts = [] if self.name == RAW else [self.phrase]
        for name, what in chosen.items():
            words = token_name(what) if name == "query" else what.label if isinstance(what, Target) else what
            parts.append(f"{self.role if name == 'query' else name} {words}")
        usual = {option.name: option.default for option in self.options}
        parts += [f"{name.replace('_', ' ')} {value}" for name, value in options.items() if value != usual.get(name)]
        return " · ".join(parts)
