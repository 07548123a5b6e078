"""Names with dots, as diffusers and peft have them: ``unet.``, ``transformer.``, ``text_encoder.text_model.``, A and B.

ComfyUI, Forge (FLUX) and diffusers read these.
"""

from __future__ import annotations

KINDS = {"lora_down.weight": "lora_A.weight", "lora_up.weight": "lora_B.weight"}


def tensor_name(part: str, path: str, kind: str) -> str:
    """See :meth:`lora_tui.weights.names.Names.tensor_name`."""
    inner = "text_model." if part.startswith("text_encoder") else ""
    return f"{part}.{inner}{path}.{KINDS.get(kind, kind)}"
