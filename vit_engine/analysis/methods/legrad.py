"""LeGrad: how sensitive the target, read from each layer's own tokens, is to that layer's attention."""

import numpy as np

from vit_engine.analysis.methods.method import Method, Needs
from vit_engine.analysis.methods.options import Option
from vit_engine.analysis.run import Run
from vit_engine.trace.targets import Target


def legrad(run: Run, *, target: Target, start: int) -> np.ndarray:
    """The mean over layers from `start` and heads of the mean over queries of ReLU(∂s/∂A): (1, rows, cols)."""
    readouts = run.differentiated(target, backward=False).readouts
    layers = np.stack([readouts[layer] for layer in range(start, run.trace.spec.depth)])
    return layers.mean(axis=(0, 1), dtype=np.float64)[None].astype(np.float32)


METHOD = Method(
    "legrad",
    "LeGrad",
    "Where attention would raise the target if it were read from each layer's own tokens: the positive gradient of "
    "each layer's attention weights, averaged over queries, heads and layers.",
    source="Bousselham et al. 2024, arXiv 2404.03214",
    value="how fast the target, read at each layer, rises with attention to the patch: the mean over layers",
    compute=legrad,
    unit="gradient",
    needs=Needs.READOUTS,
    depends_on=frozenset({"target"}),
    options=(Option("start", "From layer", 0, "The first layer that counts; those below are left out.", layer=True),),
    formula=r"\frac{1}{L}\sum_l \frac{1}{H N}\sum_{h,i} \mathrm{ReLU}\!\left("
    r"\frac{\partial s^l}{\partial A^{l,h}_{i\cdot}}\right),\quad s^l = y(\text{tokens after layer } l)",
    cost="Somewhat more than a forward pass, without a backward pass through the model.",
    misleads="It reads early layers as if they were the last one, which they were not trained for: start at a later "
    "layer and see whether the map stays. It weighs what attention could do, not what it does: a patch that no query "
    "looks at can be bright.",
    empty="No attention weight of the counted layers has a positive gradient: the target, read from their tokens, "
    "does not rise with attention to any patch.",
)
