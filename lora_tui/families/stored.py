"""Putting the network that draws where it is kept: in full or packed, on the device or some blocks of it in turn."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import nn

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
    network.requires_grad_(False).eval()
    network.packable, network.streamable = frozenset(layers), tuple(blocks)
    return put_anew(network, storage, device)


def put_anew(network: Any, storage: Storage, device: torch.device) -> Any:
    """Keep a ``network`` that was :func:`put` somewhere in another way; adapters may be attached, and stay as they are.

    What is packed already stays so. No gradients may wait. It may be called again after it failed for want of memory.
    """
    stream: StreamedBlocks | None = network.__dict__.pop("stream", None)
    if stream is not None:
        stream.stop()
    visiting = [network.streamable[number] for number in storage.visiting(len(network.streamable))]
    for block in visiting:  # first of all, which makes room
        block.to("cpu")
    if storage.weights != "full":
        quantize_linears(network, storage.weights, lambda name: _bare(name) in network.packable, device=device)
        for block in visiting:  # packing took place on the device
            block.to("cpu")
    if visiting:
        network.stream = StreamedBlocks(visiting, device)
    return network.to(device)


def _bare(name: str) -> str:
    """The name of a layer before an adapter was attached to it."""
    return name.removesuffix(".base_layer")
