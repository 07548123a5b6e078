"""Adapters: what is attached to the frozen base and trained."""

from lora_tui.trainer.adapters.lora import Adapter, attach_lora

__all__ = ["Adapter", "attach_lora"]
