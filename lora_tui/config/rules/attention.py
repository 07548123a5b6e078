"""Kernels of attention that the machine, or the precision, does not have."""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.config.findings import Finding, warning
from lora_tui.config.rules.optimizer import has_gpu
from lora_tui.config.schema import Config
from lora_tui.text import _

OF_GPUS = ("cudnn", "efficient")
IN_HALF = ("flash", "cudnn")
"""On a GPU; on the processor FlashAttention computes in any precision."""


def attention(config: Config) -> Iterator[Finding]:
    """A kernel that is named and will not be had."""
    memory = config.memory
    on_cpu = memory.device == "cpu" or not has_gpu()
    if on_cpu and memory.attention in OF_GPUS:
        reason = _("The processor has no such attention: torch chooses.")
        remedy = _("Set memory.attention to flash, math, fastest or torch.")
    elif not on_cpu and memory.attention in IN_HALF and memory.precision == "fp32":
        reason = _("On a GPU this attention computes in bf16 and fp16 alone: torch chooses.")
        remedy = _("Set memory.precision to bf16, or memory.attention to efficient, fastest or torch.")
    else:
        return
    yield warning("memory.attention", reason, remedy, "memory.attention")


RULES = (attention,)
