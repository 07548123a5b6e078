"""A batch in smaller parts, whose gradients add up to those of the whole."""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.families.protocol import Tensors
from lora_tui.trainer.data.prepared import Prepared
from lora_tui.trainer.memory.share import Share


def parts_of(batch: Prepared, at_once: int) -> Iterator[tuple[Prepared, Share]]:
    """``batch`` in parts of at most ``at_once`` images (0: whole), each with its place in it; none of an empty one."""
    total = batch.images
    size = at_once or total or 1
    for start in range(0, total, size):
        share = Share(start, min(start + size, total), total)
        if share.images == total:
            yield batch, share
            return

        def cut(tensors: Tensors, rows: slice = slice(share.start, share.stop)) -> Tensors:
            return {name: tensor[rows] for name, tensor in tensors.items()}

        rest = cut(batch.inputs), cut(batch.conditioning), cut(batch.tokens), batch.names[start : share.stop]
        yield Prepared(share.images, *rest), share
