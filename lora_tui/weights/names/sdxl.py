"""Names of SDXL layers in kohya's layout: the UNet's as the original repository has them, ``lora_te1_``, ``lora_te2_``.

Read by A1111, Forge, ComfyUI, sd-scripts and diffusers.
"""

from __future__ import annotations

from lora_tui.weights.names.sgm import sgm_path

TEXT = {"text_encoder": "lora_te1_text_model_", "text_encoder_2": "lora_te2_text_model_"}


def tensor_name(part: str, path: str, kind: str) -> str:
    """See :meth:`lora_tui.weights.names.Names.tensor_name`."""
    if part == "unet":
        return f"lora_unet_{sgm_path(path, top_attends=True).replace('.', '_')}.{kind}"
    return f"{TEXT[part]}{path.replace('.', '_')}.{kind}"
