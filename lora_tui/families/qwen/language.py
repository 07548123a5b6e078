"""Qwen2.5-VL as text encoder: how headers and configurations tell it. Knows no torch.

A caption is put into a conversation that asks for a description; of the states behind the last layer those of the
request are left out. The part that reads pictures is never loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lora_tui.errors import UserError
from lora_tui.families.blocks import block_count
from lora_tui.families.separate.kinds import Kind, Shapes
from lora_tui.families.separate.language import INNER, LanguageShape, is_tokenizer, no_tokenizer
from lora_tui.families.separate.tensors import Tensors, linears, norms, numbered
from lora_tui.families.told import unusual
from lora_tui.text import _, plain

MODEL = "qwen2_5_vl"
"""What its configuration calls it."""
READER = "language_model."
"""What newer files put before the names of the part that reads texts."""
HEAD_WIDTH = 128
"""Of each head of the published models, which no file of weights tells."""
BEFORE = (
    "<|im_start|>system\nDescribe the image by detailing the color, shape, size, texture, quantity, text, spatial "
    "relationships of the objects and background:<|im_end|>\n<|im_start|>user\n"
)
BEHIND = "<|im_end|>\n<|im_start|>assistant\n"
"""What is put before and behind a caption."""
REQUEST = 34
"""Tokens before a caption, whose states the transformer never sees."""

QWEN_VL_7B = LanguageShape(width=3584, layers=28, inner=18944, heads=28, keys=4, head_width=128, vocabulary=152064)


def text_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a ``config.json`` says of the part that reads texts: at its top, or in a table of its own."""
    inner = config.get("text_config")
    return {**config, **(inner if isinstance(inner, dict) else {})}


def vl_of_config(config: Mapping[str, Any]) -> LanguageShape:
    """The shape that a :func:`text_config` tells.

    Raises:
        KeyError, ValueError, TypeError: it says something else.
    """
    width, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    return LanguageShape(
        width=width,
        layers=int(config["num_hidden_layers"]),
        inner=int(config["intermediate_size"]),
        heads=heads,
        keys=int(config["num_key_value_heads"]),
        head_width=width // heads,
        vocabulary=int(config["vocab_size"]),
    )


def vl_shape(shapes: Shapes, prefix: str = "") -> LanguageShape:
    """The shape of the model whose tensors' names begin with ``prefix``.

    Raises:
        KeyError, ValueError: a tensor that every such model has is missing.
    """
    own = {own_name(name, prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    vocabulary, width = own["embed_tokens.weight"]
    return LanguageShape(
        width=width,
        layers=block_count(own, "layers."),
        inner=own["layers.0.mlp.gate_proj.weight"][0],
        heads=own["layers.0.self_attn.q_proj.weight"][0] // HEAD_WIDTH,
        keys=own["layers.0.self_attn.k_proj.weight"][0] // HEAD_WIDTH,
        head_width=HEAD_WIDTH,
        vocabulary=vocabulary,
    )


def own_name(name: str, prefix: str) -> str:
    """A tensor's name in the part that reads texts alone; that of another part stays another."""
    return name.removeprefix(prefix).removeprefix(INNER).removeprefix(READER)


def vl_tensors(shape: LanguageShape) -> Tensors:
    """Names and shapes of all tensors that are read: not those that read pictures, and no head of words."""
    width, queries, keys = shape.width, shape.heads * shape.head_width, shape.keys * shape.head_width
    asked = {"self_attn.q_proj": (width, queries), "self_attn.k_proj": (width, keys), "self_attn.v_proj": (width, keys)}
    others = {
        "self_attn.o_proj": (queries, width),
        **{f"mlp.{name}": (width, shape.inner) for name in ("gate_proj", "up_proj")},
        "mlp.down_proj": (shape.inner, width),
    }
    layer = linears(asked) | linears(others, bias=False) | norms(("input_layernorm", "post_attention_layernorm"), width)
    return {
        "embed_tokens.weight": (shape.vocabulary, width),
        **numbered("layers", shape.layers, layer),
        **norms(("norm",), width),
    }


@dataclass(frozen=True)
class QwenVl(Kind):
    """Qwen2.5-VL, of which the states behind the last layer are read."""

    signs: ClassVar[tuple[str, ...]] = tuple(
        f"{start}layers.0.self_attn.q_proj.bias" for start in (INNER, "", f"{INNER}{READER}", READER)
    )
    models: ClassVar[tuple[str, ...]] = (MODEL,)

    def width(self, shapes: Shapes, prefix: str) -> int:
        return vl_shape(shapes, prefix).width

    def width_told(self, config: Mapping[str, Any]) -> int:
        return vl_of_config(text_config(config)).width

    def tensors(self, shapes: Shapes, prefix: str) -> Shapes:
        return vl_tensors(vl_shape(shapes, prefix))

    def tensors_told(self, config: Mapping[str, Any]) -> Shapes:
        return vl_tensors(vl_of_config(text_config(config)))

    def own_name(self, name: str) -> str:
        return own_name(name, "")

    def check_config(self, config: Mapping[str, Any], path: Path) -> None:
        if config.get("model_type") != MODEL:
            raise UserError(
                _("{name} is no Qwen2.5-VL language model but {found}.").format(
                    name=plain(path.name), found=plain(str(config.get("model_type")), limit=40)
                ),
                place=str(path),
                remedy=_("Choose the text encoder that the model was published with."),
                code="model.part",
            )
        try:
            shape = vl_of_config(text_config(config))
        except (KeyError, ValueError, TypeError, ZeroDivisionError) as error:
            raise UserError(
                _("a part of {family} is missing in it: {name}.").format(
                    family="Qwen2.5-VL", name=plain(str(error.args[0]))
                ),
                place=str(path),
                remedy=_("Choose the text encoder that the model was published with."),
                code="model.incomplete",
            ) from None

        told = text_config(config)
        rotary = told.get("rope_parameters") or told.get("rope_scaling") or {}
        shares = rotary.get("mrope_section") if isinstance(rotary, dict) else rotary
        whole = isinstance(shares, list) and all(type(one) is int and one > 0 for one in shares)
        if shares is not None and not (whole and 2 * sum(shares) == shape.head_width):
            raise unusual(path / "config.json", "mrope_section", shares)

    def check_tokenizer(self, folder: Path) -> None:
        """The conversation is always written in the same way, so that no template is needed."""
        if not is_tokenizer(folder):
            text = _("{folder} holds no tokenizer of a language model.")
            raise no_tokenizer(folder, text.format(folder=plain(folder.name)))
