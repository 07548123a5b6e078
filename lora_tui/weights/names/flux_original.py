"""What a FLUX transformer's tensors are called by Black Forest Labs and by diffusers. Needs no torch.

The original layout (``double_blocks.0.img_attn.qkv.weight``) is that of the published single files; it keeps query, key
and value (and, in single blocks, the first feed-forward layer) in one matrix, which diffusers splits along its rows.
The last modulation has shift before scale there and scale before shift in diffusers. Source: the module definitions of
github.com/black-forest-labs/flux (``modules/layers.py``) and of diffusers (``transformer_flux.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from lora_tui.weights.names.original import Original

LAST_MODULATION = "final_layer.adaLN_modulation.1"

_WHOLE = {
    "img_in": "x_embedder",
    "txt_in": "context_embedder",
    "time_in.in_layer": "time_text_embed.timestep_embedder.linear_1",
    "time_in.out_layer": "time_text_embed.timestep_embedder.linear_2",
    "vector_in.in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in.out_layer": "time_text_embed.text_embedder.linear_2",
    "guidance_in.in_layer": "time_text_embed.guidance_embedder.linear_1",
    "guidance_in.out_layer": "time_text_embed.guidance_embedder.linear_2",
    "final_layer.linear": "proj_out",
    LAST_MODULATION: "norm_out.linear",
}
#: Layers of a double block; a layer that diffusers splits has several names, in the order of its rows.
DOUBLE: dict[str, tuple[str, ...]] = {
    "img_mod.lin": ("norm1.linear",),
    "txt_mod.lin": ("norm1_context.linear",),
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "img_attn.proj": ("attn.to_out.0",),
    "txt_attn.proj": ("attn.to_add_out",),
    "img_attn.norm.query_norm": ("attn.norm_q",),
    "img_attn.norm.key_norm": ("attn.norm_k",),
    "txt_attn.norm.query_norm": ("attn.norm_added_q",),
    "txt_attn.norm.key_norm": ("attn.norm_added_k",),
    "img_mlp.0": ("ff.net.0.proj",),
    "img_mlp.2": ("ff.net.2",),
    "txt_mlp.0": ("ff_context.net.0.proj",),
    "txt_mlp.2": ("ff_context.net.2",),
}
SINGLE: dict[str, tuple[str, ...]] = {
    "modulation.lin": ("norm.linear",),
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    "linear2": ("proj_out",),
    "norm.query_norm": ("attn.norm_q",),
    "norm.key_norm": ("attn.norm_k",),
}
_BLOCKS = {"double_blocks": ("transformer_blocks", DOUBLE), "single_blocks": ("single_transformer_blocks", SINGLE)}

ORIGINAL = Original(
    _WHOLE,
    _BLOCKS,
    turned=(LAST_MODULATION,),
    outputs={
        **{f"{side}_mlp.0": Fraction(4) for side in ("img", "txt")},
        **{f"{side}_mlp.2": Fraction(1, 4) for side in ("img", "txt")},
        "linear1": Fraction(7),
        "linear2": Fraction(1, 5),
    },
)
layer_of, original_of = ORIGINAL.layer_of, ORIGINAL.original_of


def whole_layers() -> tuple[str, ...]:
    """The layers outside the blocks, by their original names."""
    return tuple(_WHOLE)


def split_name(name: str) -> tuple[str, str]:
    """A tensor's name as layer and kind: ``weight``, ``bias``. The scale of a norm is the weight of diffusers."""
    path, _dot, kind = name.rpartition(".")
    return path, "weight" if kind == "scale" else kind


def original_names(double: int, single: int, *, guidance: bool) -> Iterator[str]:
    """The names of all tensors of a transformer of ``double`` and ``single`` blocks, in the original layout."""
    for path in _WHOLE:
        if guidance or not path.startswith("guidance_in."):
            yield from (f"{path}.weight", f"{path}.bias")
    for kind, count in (("double_blocks", double), ("single_blocks", single)):
        for number in range(count):
            for path in _BLOCKS[kind][1]:
                layer = f"{kind}.{number}.{path}"
                yield from (f"{layer}.scale",) if path.endswith("_norm") else (f"{layer}.weight", f"{layer}.bias")
