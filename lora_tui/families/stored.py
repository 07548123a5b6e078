"""Putting the network that draws where it is kept: in full or packed, on the device or some blocks of it in turn."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import nn

from lora_tui.families.protocol import Storage
from lora_tui.families.quantized import multiply_in_eight_bits, quantize_linears
from lora_tui.families.streamed import StreamedBlocks


def stream_of(network: Any) -> StreamedBlocks | None:
    """What has blocks of ``network`` visit the device in turn, where they do."""
    stream: StreamedBlocks | None = getattr(network, "stream", None)
    return stream


def streamed_in(network: Any) -> tuple[nn.Module, ...]:
    """The blocks of ``network`` that visit the device in turn."""
    stream = stream_of(network)
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
    network.own_modules = frozenset(network.modules())  # what comes later is an adapter's
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
        names = {module: name for name, module in network.named_modules()}
        for part in (*visiting, network):  # one after the other, as what is packed lies on the device at first
            prefix = f"{names[part]}." if names[part] else ""
            quantize_linears(part, storage.weights, _chosen(network.packable, prefix), device=device)
            if part is not network:
                part.to("cpu")
    multiply_in_eight_bits(network, storage.products == "8bit")
    if visiting:
        network.stream = StreamedBlocks(visiting, device, own=network.own_modules)
    network.to(device)
    if storage.channels_last:
        _lay_channels_last(network)
    return network


def _lay_channels_last(network: Any) -> None:
    """Have the channels of a point side by side in the weights of the network's own convolutions.

    Those of an adapter stay as they are: they are small, and their files and states have them so.
    """
    for module in network.modules():
        if module in network.own_modules:
            for tensor in module.parameters(recurse=False):
                if tensor.dim() == 4:
                    tensor.data = tensor.data.to(memory_format=torch.channels_last)


def _chosen(layers: Collection[str], prefix: str) -> Callable[[str], bool]:
    """Whether a layer below ``prefix`` is among ``layers``, whose names are from before an adapter was attached."""
    return lambda name: f"{prefix}{name}".removesuffix(".base_layer") in layers
