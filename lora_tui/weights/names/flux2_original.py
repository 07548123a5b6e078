"""What a FLUX.2 transformer's tensors are called by Black Forest Labs and by diffusers. Needs no torch.

Nothing has a bias, and the modulations stand outside the blocks. The makers keep query, key and value of a double block
in one matrix, which diffusers splits along its rows; the two layers of a single block are one matrix each in both. The
last modulation has shift before scale in the makers' files and scale before shift in diffusers. Source: the module
definitions of github.com/black-forest-labs/flux2 (``model.py``) and of diffusers (``transformer_flux2.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from lora_tui.weights.names.original import Original

LAST_MODULATION = "final_layer.adaLN_modulation.1"
GUIDANCE = "guidance_in.in_layer"
"""A layer of FLUX.2 dev alone, which is told the strength of guidance."""
FEED = 3
"""Width of the feed-forward layers, in hidden widths; twice as much goes through the gate before them."""

ORIGINAL = Original(
    whole={
        "img_in": "x_embedder",
        "txt_in": "context_embedder",
        "time_in.in_layer": "time_guidance_embed.timestep_embedder.linear_1",
        "time_in.out_layer": "time_guidance_embed.timestep_embedder.linear_2",
        "double_stream_modulation_img.lin": "double_stream_modulation_img.linear",
        "double_stream_modulation_txt.lin": "double_stream_modulation_txt.linear",
        "single_stream_modulation.lin": "single_stream_modulation.linear",
        "final_layer.linear": "proj_out",
        LAST_MODULATION: "norm_out.linear",
    },
    blocks={
        "double_blocks": (
            "transformer_blocks",
            {
                "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
                "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
                "img_attn.proj": ("attn.to_out.0",),
                "txt_attn.proj": ("attn.to_add_out",),
                "img_attn.norm.query_norm": ("attn.norm_q",),
                "img_attn.norm.key_norm": ("attn.norm_k",),
                "txt_attn.norm.query_norm": ("attn.norm_added_q",),
                "txt_attn.norm.key_norm": ("attn.norm_added_k",),
                "img_mlp.0": ("ff.linear_in",),
                "img_mlp.2": ("ff.linear_out",),
                "txt_mlp.0": ("ff_context.linear_in",),
                "txt_mlp.2": ("ff_context.linear_out",),
            },
        ),
        "single_blocks": (
            "single_transformer_blocks",
            {
                "linear1": ("attn.to_qkv_mlp_proj",),
                "linear2": ("attn.to_out",),
                "norm.query_norm": ("attn.norm_q",),
                "norm.key_norm": ("attn.norm_k",),
            },
        ),
    },
    turned=(LAST_MODULATION,),
    outputs={
        "img_mlp.0": Fraction(2 * FEED),
        "txt_mlp.0": Fraction(2 * FEED),
        "img_mlp.2": Fraction(1, FEED),
        "txt_mlp.2": Fraction(1, FEED),
        "linear1": Fraction(3 + 2 * FEED),
        "linear2": Fraction(1, 1 + FEED),
    },
)


def original_names(double: int, single: int) -> Iterator[str]:
    """The names of all tensors of a transformer of ``double`` and ``single`` blocks, in the makers' layout."""
    for path in ORIGINAL.paths({"double_blocks": double, "single_blocks": single}):
        yield f"{path}.scale" if path.endswith("_norm") else f"{path}.weight"
