"""Drawing images from a base model and an adapter: one renderer for samples, grids and single images."""

from lora_tui.sampling.lora import AppliedLora, apply_lora
from lora_tui.sampling.renderer import Renderer, RenderRequest

__all__ = ["AppliedLora", "RenderRequest", "Renderer", "apply_lora"]
