"""lora-tui: a terminal studio for the whole life of an image LoRA."""

__version__ = "0.1.0"
