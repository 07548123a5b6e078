"""Names of FLUX.1 layers in kohya's layout: those of the original repository, several of diffusers' layers in one.

Read by sd-scripts, ComfyUI, Forge and diffusers.
"""

from __future__ import annotations

PREFIXES = {"transformer": "lora_unet_", "text_encoder": "lora_te1_text_model_"}


def tensor_name(part: str, path: str, kind: str) -> str:
    """See :meth:`lora_tui.weights.names.Names.tensor_name`; ``path`` is the original one in the transformer."""
    return f"{PREFIXES[part]}{path.replace('.', '_')}.{kind}"
