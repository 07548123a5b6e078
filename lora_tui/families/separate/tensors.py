"""Names and shapes of all tensors of a part, as its library has them, and whether weights hold them. Knows no torch.

What they are follows from widths and depths alone, so that a gap is found in headers, before anything large is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from lora_tui.errors import UserError
from lora_tui.families.parts import incomplete
from lora_tui.families.unet.shape import TextShape
from lora_tui.text import _, plain
from lora_tui.weights.names.original import Original

Tensors = dict[str, tuple[int, ...]]
ATTENTION_NORMS = ("attn.norm_q", "attn.norm_k")
ADDED_NORMS = ("attn.norm_added_q", "attn.norm_added_k")


def linears(layers: Mapping[str, tuple[int, int]], *, bias: bool = True) -> Tensors:
    """The tensors of linear ``layers``: their paths, with the widths that go in and out."""
    found: Tensors = {f"{path}.weight": (outputs, inputs) for path, (inputs, outputs) in layers.items()}
    return found | ({f"{path}.bias": (outputs,) for path, (_inputs, outputs) in layers.items()} if bias else {})


def norms(paths: Iterable[str], width: int, *, bias: bool = False) -> Tensors:
    """The tensors of norms of so many numbers."""
    return {f"{path}.{kind}": (width,) for path in paths for kind in (("weight", "bias") if bias else ("weight",))}


def numbered(blocks: str, count: int, own: Mapping[str, tuple[int, ...]]) -> Tensors:
    """What each of ``count`` ``blocks`` holds of its ``own``."""
    return {f"{blocks}.{number}.{name}": shape for number in range(count) for name, shape in own.items()}


def two_streams(double: int, single: int, head: int) -> Tensors:
    """The norms of ``double`` and ``single`` blocks of FLUX, for heads of this width."""
    return numbered("transformer_blocks", double, norms((*ATTENTION_NORMS, *ADDED_NORMS), head)) | numbered(
        "single_transformer_blocks", single, norms(ATTENTION_NORMS, head)
    )


def parameters(shapes: Mapping[str, tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes.values())


def makers_shapes(
    names: Iterable[str], pieces: Callable[[str], Iterable[str]], shapes: Mapping[str, tuple[int, ...]]
) -> Tensors:
    """The shapes of the makers' tensors called ``names``, whose rows are those of diffusers' that ``pieces`` names.

    Args:
        shapes: of the tensors of diffusers.
    """
    found = {}
    for name in names:
        parts = [shapes[piece] for piece in pieces(name)]
        found[name] = parts[0] if len(parts) == 1 else (sum(part[0] for part in parts), *parts[0][1:])
    return found


def tensor_pieces(original: Original, name: str) -> tuple[str, ...]:
    """The tensors of diffusers in the makers' tensor called ``name``; the scale of a norm is a weight there.

    Raises:
        KeyError: such a transformer has no such tensor.
    """
    path, _dot, kind = name.rpartition(".")
    return tuple(f"{piece.path}.{'weight' if kind == 'scale' else kind}" for piece in original.layer_of(path))


def need_shapes(wanted: Mapping[str, tuple[int, ...]], there: Mapping[str, tuple[int, ...]], place: str) -> None:
    """Refuse weights at ``place`` that lack one of the tensors that are ``wanted``, or have it in another shape.

    Raises:
        UserError: ``model.incomplete``.
    """
    gaps = [name for name in wanted if name not in there]
    if gaps:
        raise incomplete(len(gaps), gaps[0], place)
    for name, shape in wanted.items():
        if there[name] != shape:
            raise UserError(
                _("{name} has the shape {found}, where a model of its widths has {wanted}.").format(
                    name=plain(name, limit=120), found=_sizes(there[name]), wanted=_sizes(shape)
                ),
                place=place,
                remedy=_("The file is damaged, or its configuration is another model's; fetch the model again."),
                code="model.incomplete",
            )


def _sizes(shape: tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape[:8]))}]"


# -- text encoders -----------------------------------------------------------------------------------------------------


def clip_tensors(shape: TextShape) -> Tensors:
    """Of CLIP's text encoder without ``text_model.``, with its projection where it has one."""
    width = shape.width
    attention = {f"self_attn.{name}": (width, width) for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
    layer = linears({**attention, "mlp.fc1": (width, shape.inner), "mlp.fc2": (shape.inner, width)})
    return {
        "embeddings.token_embedding.weight": (shape.vocabulary, width),
        "embeddings.position_embedding.weight": (shape.positions, width),
        **numbered("encoder.layers", shape.layers, layer | norms(("layer_norm1", "layer_norm2"), width, bias=True)),
        **norms(("final_layer_norm",), width, bias=True),
        **({"text_projection.weight": (shape.projection, width)} if shape.projection else {}),
    }


def t5_tensors(width: int, layers: int, inner: int, vocabulary: int, heads: int, head_width: int) -> Tensors:
    """Of T5's encoder."""
    whole = heads * head_width
    layer = {
        **{f"layer.0.SelfAttention.{name}": (width, whole) for name in ("q", "k", "v")},
        "layer.0.SelfAttention.o": (whole, width),
        **{f"layer.1.DenseReluDense.{name}": (width, inner) for name in ("wi_0", "wi_1")},
        "layer.1.DenseReluDense.wo": (inner, width),
    }
    own = linears(layer, bias=False) | norms(("layer.0.layer_norm", "layer.1.layer_norm"), width)
    return {
        "shared.weight": (vocabulary, width),
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (T5_BUCKETS, heads),
        **numbered("encoder.block", layers, own),
        **norms(("encoder.final_layer_norm",), width),
    }


T5_BUCKETS = 32
"""Distances between tokens that T5 tells apart."""


# -- VAEs --------------------------------------------------------------------------------------------------------------


def vae_tensors(channels: tuple[int, ...], latent: int, *, around: tuple[bool, bool] = (False, False)) -> Tensors:
    """Of diffusers' ``AutoencoderKL`` with two resnets a level.

    Args:
        channels: of each level.
        latent: channels of its latents.
        around: whether there are convolutions behind the encoder and before the decoder.
    """
    top, bottom, layers = channels[-1], channels[0], 2
    found = convolution("encoder.conv_in", 3, bottom) | convolution("encoder.conv_out", top, 2 * latent)
    found |= convolution("decoder.conv_in", latent, top) | convolution("decoder.conv_out", bottom, 3)
    found |= norms(("encoder.conv_norm_out",), top, bias=True) | norms(("decoder.conv_norm_out",), bottom, bias=True)
    found |= _levels("encoder.down", channels, layers) | _levels("decoder.up", channels[::-1], layers + 1)
    for side in ("encoder", "decoder"):
        middle = f"{side}.mid_block"
        attention = f"{middle}.attentions.0"
        found |= _resnet(f"{middle}.resnets.0", top, top) | _resnet(f"{middle}.resnets.1", top, top)
        found |= linears({f"{attention}.{name}": (top, top) for name in ("to_q", "to_k", "to_v", "to_out.0")})
        found |= norms((f"{attention}.group_norm",), top, bias=True)
    for name, width, there in zip(("quant_conv", "post_quant_conv"), (2 * latent, latent), around, strict=True):
        found |= convolution(name, width, width, 1) if there else {}
    return found


def _levels(side: str, widths: tuple[int, ...], layers: int) -> Tensors:
    """The levels of one half, with what halves or doubles the side between them."""
    found: Tensors = {}
    inputs = widths[0]
    for level, width in enumerate(widths):
        block = f"{side}_blocks.{level}"
        for layer in range(layers):
            found |= _resnet(f"{block}.resnets.{layer}", inputs if layer == 0 else width, width)
        if level < len(widths) - 1:
            found |= convolution(f"{block}.{side.partition('.')[2]}samplers.0.conv", width, width)
        inputs = width
    return found


def convolution(path: str, inputs: int, outputs: int, kernel: int = 3) -> Tensors:
    """The tensors of a convolution that sees so many cells a side."""
    return {f"{path}.weight": (outputs, inputs, kernel, kernel), f"{path}.bias": (outputs,)}


def _resnet(path: str, inputs: int, outputs: int) -> Tensors:
    found = norms((f"{path}.norm1",), inputs, bias=True) | norms((f"{path}.norm2",), outputs, bias=True)
    found |= convolution(f"{path}.conv1", inputs, outputs) | convolution(f"{path}.conv2", outputs, outputs)
    return found | (convolution(f"{path}.conv_shortcut", inputs, outputs, 1) if inputs != outputs else {})


#: What the layout of the makers calls the layers of a resnet, or of an attention, in place of diffusers.
_MAKERS_LAYERS = {
    "conv_shortcut": "nin_shortcut",
    "group_norm": "norm",
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "proj_out",
}


def makers_vae(shapes: Mapping[str, tuple[int, ...]], levels: int) -> Tensors:
    """The tensors of a VAE of diffusers in the layout of its makers, in which attention is of convolutions."""
    found: Tensors = {}
    for name, shape in shapes.items():
        side, _dot, rest = name.partition(".")
        head, _dot, inner = rest.partition(".")
        if head == "mid_block":
            place, _dot, inner = inner.partition(".")
            number, _dot, inner = inner.partition(".")
            rest = f"mid.{'attn_1' if place == 'attentions' else f'block_{int(number) + 1}'}.{inner}"
            shape = (*shape, 1, 1) if place == "attentions" and len(shape) == 2 else shape
        elif head in ("down_blocks", "up_blocks"):
            level, _dot, inner = inner.partition(".")
            place, _dot, inner = inner.partition(".")
            number, _dot, inner = inner.partition(".")
            own = int(level) if head == "down_blocks" else levels - 1 - int(level)
            way = head.removesuffix("_blocks")
            rest = f"{way}.{own}." + (f"block.{number}.{inner}" if place == "resnets" else f"{way}sample.{inner}")
        elif head == "conv_norm_out":
            rest = f"norm_out.{inner}"
        for old, new in _MAKERS_LAYERS.items():
            rest = rest.replace(f".{old}.", f".{new}.")
        found[f"{side}.{rest}"] = shape
    return found
