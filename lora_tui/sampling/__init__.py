"""Drawing images from a base model and an adapter: one renderer for samples, grids and single images."""

from lora_tui.sampling.renderer import Renderer, RenderRequest

__all__ = ["RenderRequest", "Renderer"]
