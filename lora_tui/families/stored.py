"""Putting the network that draws where it is kept: in full or packed, on the device or some blocks of it in turn."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import nn

from lora_tui.families.parted import frozen
from lora_tui.families.protocol import Storage
from lora_tui.families.quantized import quantize_linears
from lora_tui.families.streamed import StreamedBlocks


def streamed_in(network: Any) -> tuple[nn.Module, ...]:
    """The blocks of ``network`` that visit the device in turn."""
    stream: StreamedBlocks | None = getattr(network, "stream", None)
    return stream.blocks if stream else ()


def put(
    network: Any, storage: Storage, device: torch.device, *, layers: Collection[str], blocks: Sequence[nn.Module]
) -> Any:
    """Keep ``network`` (frozen, on the CPU) on ``device`` as ``storage`` says, and return it.

    Args:
        layers: names of the linear layers that may be packed.
        blocks: what may be streamed, in the order of the forward pass.
    """
    frozen(network)
    if storage.weights != "full":
        quantize_linears(network, storage.weights, lambda name: name in layers, device=device)
    if storage.streamed:
        visiting = [blocks[number] for number in storage.visiting(len(blocks))]
        for block in visiting:
            block.to("cpu")  # where packing took place on the device
        network.stream = StreamedBlocks(visiting, device)
    return network.to(device)
