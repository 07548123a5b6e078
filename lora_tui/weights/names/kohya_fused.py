"""Names of FLUX.1's and SD3's layers in kohya's layout: those of their makers, several of diffusers' layers in one.

Read by sd-scripts and ComfyUI; FLUX.1's by Forge and diffusers, too.
"""

from __future__ import annotations

from lora_tui.weights.names.original import KOHYA

PREFIXES = {
    "transformer": KOHYA,
    "text_encoder": "lora_te1_text_model_",
    "text_encoder_2": "lora_te2_text_model_",
}


def tensor_name(part: str, path: str, kind: str) -> str:
    """See :meth:`lora_tui.weights.names.Names.tensor_name`; ``path`` is the original one in the transformer."""
    return f"{PREFIXES[part]}{path.replace('.', '_')}.{kind}"
