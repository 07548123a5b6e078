"""Tensors on their way to the device without anybody waiting: from pinned memory, which only CUDA needs."""

from __future__ import annotations

import torch

from lora_tui.families.protocol import Tensors


def pinned(tensors: Tensors, device: torch.device) -> Tensors:
    """``tensors`` of the CPU in memory from which copies to ``device`` do not wait; as they are for a CPU."""
    if device.type != "cuda":
        return tensors
    return {name: tensor if tensor.is_cuda else tensor.pin_memory() for name, tensor in tensors.items()}


def moved(tensors: Tensors, device: torch.device) -> Tensors:
    """``tensors`` on ``device``; copies from pinned memory are only begun."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}
