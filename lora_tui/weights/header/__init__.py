"""What a weights file says of itself, read from its first bytes without torch and without its tensors."""

from lora_tui.weights.header.format import Header, TensorInfo, read_header, read_scalars
from lora_tui.weights.header.loras import LoraInfo, lora_info
from lora_tui.weights.header.models import ModelKind, identify_model

__all__ = [
    "Header",
    "LoraInfo",
    "ModelKind",
    "TensorInfo",
    "identify_model",
    "lora_info",
    "read_header",
    "read_scalars",
]
