"""What a step of FLUX.1 computes, and how fast this machine multiplies matrices at best.

A token is multiplied with 12 times the square of the width in each block (attention 4, feed-forward 8; a block of one
stream has the same in two matrices); attention takes 4 N^2 times the width on top, forward, and 2.5 times that
backward. Weights of the frozen base have no gradients, so that backward passes cost what forward ones do, and blocks
that compute their activations again cost another one.
"""

from __future__ import annotations

import statistics
from typing import Any

PATCH = 16
"""Side of the square of an image that is one token, in px."""
REPEATS = 12


def flux_flops(width: int, blocks: int, tokens: int, *, again: bool) -> float:
    """Floating point operations of a step for one image with ``tokens`` of picture and text.

    ``again``: all blocks compute their activations again.
    """
    linear = 2.0 * 12 * width**2 * blocks * tokens
    attention = 4.0 * blocks * tokens**2 * width
    forward, backward = linear + attention, linear + 2.5 * attention
    return forward * (2 if again else 1) + backward


def matrix_rate(device: Any, dtype: Any) -> float:
    """Operations a second of a product of two square matrices of ``dtype``, large enough for ``device`` at its best."""
    import time

    import torch

    side = 8192 if device.type == "cuda" else 1024
    one, other = (torch.randn(side, side, device=device).to(dtype) for _side in range(2))
    seconds = []
    for _repeat in range(REPEATS):
        begun = time.perf_counter()
        one @ other
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - begun)
    return 2.0 * side**3 / statistics.median(seconds[2:])
