"""Arithmetic in half precision around networks whose trained parts stay float32."""

from __future__ import annotations

import contextlib
from typing import Any

import torch


def autocast(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[Any]:
    """Arithmetic in ``dtype`` where it is a half precision; what is kept in float32 stays so."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=dtype)
