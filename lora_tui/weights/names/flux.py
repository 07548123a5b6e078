"""Names of FLUX.1 layers as diffusers has them: ``transformer.`` and ``text_encoder.`` with dots, A, B and the alpha.

ComfyUI, Forge and diffusers read these, the ``alpha`` beside each pair of matrices too.
"""

from __future__ import annotations

PREFIXES = {"transformer": "transformer.", "text_encoder": "text_encoder.text_model."}
_KINDS = {"lora_down.weight": "lora_A.weight", "lora_up.weight": "lora_B.weight"}


def tensor_name(part: str, path: str, kind: str) -> str:
    """See :meth:`lora_tui.weights.names.Names.tensor_name`."""
    return f"{PREFIXES[part]}{path}.{_KINDS.get(kind, kind)}"
