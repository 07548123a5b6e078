"""What an SD3 or SD3.5 transformer's tensors are called by Stability and by diffusers. Needs no torch.

The last block gives no text any more: its part for the text has a modulation of two rows instead of six, neither
projection nor feed-forward layers. That modulation and the last one of all have shift before scale in Stability's files
and scale before shift in diffusers. Source: the module definitions of github.com/Stability-AI/sd3.5 (``mmditx.py``) and
of diffusers (``transformer_sd3.py``).
"""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.weights.names.original import Original

BLOCKS = "joint_blocks"
POSITIONS = "pos_embed"
"""The table of positions, a tensor without layer; diffusers calls it ``pos_embed.pos_embed``."""
LAST_MODULATION = "final_layer.adaLN_modulation.1"
TEXT_MODULATION = "context_block.adaLN_modulation.1"
#: Layers of a block for which the last one has no use.
TEXT_ONLY = ("context_block.attn.proj", "context_block.mlp.fc1", "context_block.mlp.fc2")

ORIGINAL = Original(
    whole={
        "x_embedder.proj": "pos_embed.proj",
        "context_embedder": "context_embedder",
        "t_embedder.mlp.0": "time_text_embed.timestep_embedder.linear_1",
        "t_embedder.mlp.2": "time_text_embed.timestep_embedder.linear_2",
        "y_embedder.mlp.0": "time_text_embed.text_embedder.linear_1",
        "y_embedder.mlp.2": "time_text_embed.text_embedder.linear_2",
        "final_layer.linear": "proj_out",
        LAST_MODULATION: "norm_out.linear",
    },
    blocks={
        BLOCKS: (
            "transformer_blocks",
            {
                "x_block.adaLN_modulation.1": ("norm1.linear",),
                TEXT_MODULATION: ("norm1_context.linear",),
                "x_block.attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
                "context_block.attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
                "x_block.attn.proj": ("attn.to_out.0",),
                "context_block.attn.proj": ("attn.to_add_out",),
                "x_block.attn.ln_q": ("attn.norm_q",),
                "x_block.attn.ln_k": ("attn.norm_k",),
                "context_block.attn.ln_q": ("attn.norm_added_q",),
                "context_block.attn.ln_k": ("attn.norm_added_k",),
                "x_block.attn2.qkv": ("attn2.to_q", "attn2.to_k", "attn2.to_v"),
                "x_block.attn2.proj": ("attn2.to_out.0",),
                "x_block.attn2.ln_q": ("attn2.norm_q",),
                "x_block.attn2.ln_k": ("attn2.norm_k",),
                "x_block.mlp.fc1": ("ff.net.0.proj",),
                "x_block.mlp.fc2": ("ff.net.2",),
                "context_block.mlp.fc1": ("ff_context.net.0.proj",),
                "context_block.mlp.fc2": ("ff_context.net.2",),
            },
        )
    },
    turned=(LAST_MODULATION, TEXT_MODULATION),
)


def original_names(blocks: int, *, dual: int, norms: bool) -> Iterator[str]:
    """The names of all tensors of a transformer in Stability's layout.

    Args:
        blocks: how many there are.
        dual: how many of the first ones attend a second time.
        norms: whether queries and keys are normed.
    """
    yield POSITIONS
    for path in ORIGINAL.paths({BLOCKS: blocks}):
        head, _dot, rest = path.partition(".")
        number, _dot, inner = rest.partition(".") if head == BLOCKS else ("0", "", path)
        last = head == BLOCKS and int(number) == blocks - 1
        if (".attn2." in path and int(number) >= dual) or (last and inner in TEXT_ONLY):
            continue
        if inner.endswith((".ln_q", ".ln_k")):
            yield from (f"{path}.weight",) if norms else ()
        else:
            yield from (f"{path}.weight", f"{path}.bias")
