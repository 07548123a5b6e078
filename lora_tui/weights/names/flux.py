"""Names of FLUX.1 layers as diffusers has them: ``transformer.`` and ``text_encoder.`` with dots, A, B and the alpha.

ComfyUI, Forge and diffusers read these, the ``alpha`` beside each pair of matrices too.
"""

from __future__ import annotations

from lora_tui.weights.names.dotted import tensor_name

__all__ = ["tensor_name"]
