"""Names of SD2.x layers in kohya's layout: those of SD1.x, whose layers have the same names in diffusers."""

from __future__ import annotations

from lora_tui.weights.names.sd15 import tensor_name

__all__ = ["tensor_name"]
