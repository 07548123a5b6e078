"""What a Z-Image transformer's tensors are called in ComfyUI's single files and by diffusers. Needs no torch.

The makers publish a folder with diffusers' names; the single files that people use have ComfyUI's, which keep query,
key and value in one matrix. Source: the module definitions of diffusers (``transformer_z_image.py``) and its conversion
of single files, and ComfyUI's table of names for LoRA files (``z_image_to_diffusers``).
"""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.weights.names.original import Original

TOKENS = ("x_pad_token", "cap_pad_token")
"""Tensors without layer: what fills up the tokens of the image, and those of the text."""
OUTER = {
    "x_embedder": "all_x_embedder.2-1",
    "final_layer.linear": "all_final_layer.2-1.linear",
    "final_layer.adaLN_modulation.1": "all_final_layer.2-1.adaLN_modulation.1",
    **{path: path for path in ("cap_embedder.0", "cap_embedder.1", "t_embedder.mlp.0", "t_embedder.mlp.2")},
}
"""Layers outside the blocks. They are no part of the table below, as other families have layers of such names."""
_LAYERS: dict[str, tuple[str, ...]] = {
    "attention.qkv": ("attention.to_q", "attention.to_k", "attention.to_v"),
    "attention.out": ("attention.to_out.0",),
    "attention.q_norm": ("attention.norm_q",),
    "attention.k_norm": ("attention.norm_k",),
    **{path: (path,) for path in ("feed_forward.w1", "feed_forward.w2", "feed_forward.w3")},
    **{path: (path,) for path in ("attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2")},
}
MODULATION = "adaLN_modulation.0"
_TOLD = {**_LAYERS, MODULATION: (MODULATION,)}

ORIGINAL = Original(
    whole={},
    blocks={
        "layers": ("layers", _TOLD),
        "noise_refiner": ("noise_refiner", _TOLD),
        "context_refiner": ("context_refiner", _LAYERS),
    },
)


def original_names(blocks: int, refiners: int) -> Iterator[str]:
    """The names of all tensors of a transformer of so many ``blocks``, and ``refiners`` each for image and text."""
    yield from TOKENS
    for path in OUTER:
        yield from (f"{path}.weight",) if path == "cap_embedder.0" else (f"{path}.weight", f"{path}.bias")
    counts = {"layers": blocks, "noise_refiner": refiners, "context_refiner": refiners}
    for path in ORIGINAL.paths(counts):
        yield f"{path}.weight"
        if path.endswith(MODULATION):
            yield f"{path}.bias"
