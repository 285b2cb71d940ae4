"""What the look-alikes of the original repositories say themselves about one picture."""

from typing import Any

from torch import Tensor, nn

from tests.vit_engine.weights.formats.support import Peer, captured
from tests.vit_engine.weights.live.lookalikes import ClipVisual


def peer_of(model: nn.Module, images: Tensor) -> Peer:
    """Tokens after all blocks and attention of all layers, as the module's own softmax says."""
    visual = getattr(model, "visual", model)
    if isinstance(visual, ClipVisual):
        return _clip_peer(visual, images)
    blocks = list(model.blocks)
    tokens = captured_first(blocks, lambda: model(images))
    attention = captured([block.attn.attn_drop for block in blocks], lambda: model(images))
    return Peer(tokens, attention, model(images)[0])


def captured_first(modules: list[nn.Module], run: Any) -> list[Tensor]:
    """As captured(), of modules that return lists of one tensor, too."""
    seen: list[Tensor] = []
    handles = [
        module.register_forward_hook(
            lambda _, __, output: seen.append(output[0] if isinstance(output, list) else output)
        )
        for module in modules
    ]
    run()
    for handle in handles:
        handle.remove()
    return [output[0] for output in seen]


def _clip_peer(visual: ClipVisual, images: Tensor) -> Peer:
    blocks = list(visual.transformer.resblocks)
    axis = 0 if visual.batch_first else 1
    seen: dict[nn.Module, Tensor] = {}
    handles = [
        part.register_forward_hook(lambda part, _, output: seen.__setitem__(part, output))
        for block in blocks
        for part in (block, block.ln_1)
    ]
    visual(images)
    for handle in handles:
        handle.remove()
    attention = [
        block.attn(seen[block.ln_1], seen[block.ln_1], seen[block.ln_1], average_attn_weights=False)[1][0]
        for block in blocks
    ]
    return Peer([seen[block].select(axis, 0) for block in blocks], attention)
