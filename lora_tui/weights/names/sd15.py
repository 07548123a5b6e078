"""Names of SD1.x layers in kohya's layout: ``lora_unet_`` and ``lora_te_`` with dots as underscores.

Read by A1111, Forge, ComfyUI, sd-scripts and diffusers. The text encoder's names keep ``text_model_`` as the
original CLIP has it, whether or not the library at hand nests the module so.
"""

from __future__ import annotations

PREFIXES = {"unet": "lora_unet_", "text_encoder": "lora_te_text_model_"}


def tensor_name(part: str, path: str, kind: str) -> str:
    """See :meth:`lora_tui.weights.names.Names.tensor_name`."""
    return f"{PREFIXES[part]}{path.replace('.', '_')}.{kind}"
