"""Names of Z-Image's and Qwen-Image's layers as ComfyUI and ai-toolkit have them: ``diffusion_model.`` with dots.

ComfyUI and diffusers read them, the ``alpha`` beside each pair of matrices too.
"""

from __future__ import annotations

from lora_tui.weights.names import dotted

PREFIXES = {"transformer": "diffusion_model"}


def tensor_name(part: str, path: str, kind: str) -> str:
    """See :meth:`lora_tui.weights.names.Names.tensor_name`."""
    return dotted.tensor_name(PREFIXES[part], path, kind)
