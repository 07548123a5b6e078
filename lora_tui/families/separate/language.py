"""Language models that serve as text encoders: how headers and configurations tell them. Knows no torch.

A text is put into a chat template, and the states between two layers are read, or those at several places. What lies
behind the deepest of these places is never loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lora_tui.errors import UserError
from lora_tui.families.blocks import block_count
from lora_tui.families.separate.kinds import Kind, Shapes
from lora_tui.families.separate.tensors import Tensors, linears, norms, numbered, parameters
from lora_tui.families.told import read_object
from lora_tui.places import is_file
from lora_tui.text import _, plain

INNER = "model."
"""What transformers puts before the names of a model under a head of words; files have it or not."""
ROTARY_BASE = 1_000_000.0
"""Of Qwen3's positions; no file of weights tells it."""
WORDS = ("tokenizer.json", "vocab.json")
"""Files, one of which a tokenizer's folder has."""
SETTINGS = "tokenizer_config.json"
"""What every one has: its kind, and words that are no part of a text."""


@dataclass(frozen=True)
class LanguageShape:
    """A Qwen3 language model; the defaults are those of the one with 4 billion parameters.

    Attributes:
        inner: width of the feed-forward layers.
        keys: heads of keys and of values, each of which serves several of the queries'.
    """

    width: int = 2560
    layers: int = 36
    inner: int = 9728
    heads: int = 32
    keys: int = 8
    head_width: int = 128
    vocabulary: int = 151936

    def config(self) -> dict[str, Any]:
        """Arguments of transformers' ``Qwen3Config``."""
        return {
            "vocab_size": self.vocabulary,
            "hidden_size": self.width,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.keys,
            "head_dim": self.head_width,
            "max_position_embeddings": 40960,
            "rope_parameters": {"rope_type": "default", "rope_theta": ROTARY_BASE},
            "tie_word_embeddings": True,
        }

    def tensors(self, layers: int | None = None) -> Tensors:
        """Names and shapes of all its tensors, or of those up to so many ``layers``, without a head of words."""
        queries, keys = self.heads * self.head_width, self.keys * self.head_width
        own = linears(
            {
                "self_attn.q_proj": (self.width, queries),
                **{f"self_attn.{name}": (self.width, keys) for name in ("k_proj", "v_proj")},
                "self_attn.o_proj": (queries, self.width),
                **{f"mlp.{name}": (self.width, self.inner) for name in ("gate_proj", "up_proj")},
                "mlp.down_proj": (self.inner, self.width),
            },
            bias=False,
        )
        own |= norms(("self_attn.q_norm", "self_attn.k_norm"), self.head_width)
        own |= norms(("input_layernorm", "post_attention_layernorm"), self.width)
        return {
            "embed_tokens.weight": (self.vocabulary, self.width),
            **numbered("layers", self.layers if layers is None else layers, own),
            **norms(("norm",), self.width),
        }


QWEN3_4B = LanguageShape()
QWEN3_8B = LanguageShape(width=4096, inner=12288)


def language_of_config(config: Mapping[str, Any]) -> LanguageShape:
    """The shape that a ``config.json`` of transformers tells.

    Raises:
        KeyError, ValueError, TypeError: it says something else.
    """
    return LanguageShape(
        width=int(config["hidden_size"]),
        layers=int(config["num_hidden_layers"]),
        inner=int(config["intermediate_size"]),
        heads=int(config["num_attention_heads"]),
        keys=int(config["num_key_value_heads"]),
        head_width=int(config["head_dim"]),
        vocabulary=int(config["vocab_size"]),
    )


def language_shape(shapes: Shapes, prefix: str = "") -> LanguageShape:
    """The shape of the Qwen3 model whose tensors' names begin with ``prefix``.

    Raises:
        KeyError: a tensor that every such model has is missing.
    """
    own = {own_name(name, prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}
    vocabulary, width = own["embed_tokens.weight"]
    head = own["layers.0.self_attn.q_norm.weight"][0]
    return LanguageShape(
        width=width,
        layers=block_count(own, "layers."),
        inner=own["layers.0.mlp.gate_proj.weight"][0],
        heads=own["layers.0.self_attn.q_proj.weight"][0] // head,
        keys=own["layers.0.self_attn.k_proj.weight"][0] // head,
        head_width=head,
        vocabulary=vocabulary,
    )


def own_name(name: str, prefix: str) -> str:
    """A tensor's name in the language model alone."""
    return name.removeprefix(prefix).removeprefix(INNER)


def language_parameters(shape: LanguageShape, layers: int | None = None) -> int:
    """Parameters of the first ``layers``, or of all with the norm behind them, without a head of words."""
    return parameters(shape.tensors(layers)) - (shape.width if layers is not None else 0)


@dataclass(frozen=True)
class Qwen3(Kind):
    """A Qwen3 language model of which states are read.

    Attributes:
        reads: after how many layers, or, counted from behind as transformers' ``hidden_states`` are, -2 for the input
            of the last layer; several are laid side by side.
        thinks: whether the template leaves room for thoughts, which then are none (``enable_thinking``).
    """

    signs: ClassVar[tuple[str, ...]] = (
        f"{INNER}layers.0.self_attn.q_norm.weight",
        "layers.0.self_attn.q_norm.weight",
    )
    reads: tuple[int, ...] = (-2,)
    thinks: bool = True

    def places(self, layers: int) -> tuple[int, ...]:
        """After how many of a model's ``layers`` its states are read.

        Raises:
            ValueError: it has too few for that.
        """
        found = tuple(place if place >= 0 else layers + 1 + place for place in self.reads)
        if not all(0 < place < layers for place in found):
            raise ValueError(f"layers.{max(found)}.self_attn.q_proj.weight")
        return found

    def parameters(self, shape: LanguageShape) -> int:
        """Of what is loaded of a model of ``shape``: nothing behind the last place that is read."""
        return language_parameters(shape, max(self.places(shape.layers)))

    def width(self, shapes: Shapes, prefix: str) -> int:
        return self._width(language_shape(shapes, prefix))

    def width_told(self, config: Mapping[str, Any]) -> int:
        return self._width(language_of_config(config))

    def tensors(self, shapes: Shapes, prefix: str) -> Shapes:
        return self._read(language_shape(shapes, prefix))

    def tensors_told(self, config: Mapping[str, Any]) -> Shapes:
        return self._read(language_of_config(config))

    def _read(self, shape: LanguageShape) -> Shapes:
        """Of what is loaded of it."""
        return shape.tensors(max(self.places(shape.layers)))

    def own_name(self, name: str) -> str:
        return name.removeprefix(INNER)

    def _width(self, shape: LanguageShape) -> int:
        return len(self.places(shape.layers)) * shape.width

    def check_config(self, config: Mapping[str, Any], path: Path) -> None:
        if config.get("model_type") != "qwen3":
            raise UserError(
                _("{name} is no Qwen3 language model but {found}.").format(
                    name=plain(path.name), found=plain(str(config.get("model_type")), limit=40)
                ),
                place=str(path),
                remedy=_("Choose the text encoder that the model was published with."),
                code="model.part",
            )
        try:
            self.width_told(config)
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(
                _("a part of {family} is missing in it: {name}.").format(
                    family="Qwen3", name=plain(str(error.args[0]))
                ),
                place=str(path),
                remedy=_("Choose the text encoder that the model was published with."),
                code="model.incomplete",
            ) from None

    def check_tokenizer(self, folder: Path) -> None:
        """It must know how a conversation is written down, which no vocabulary tells."""
        if not is_tokenizer(folder) or not _has_template(folder):
            text = _("{folder} holds no tokenizer of a language model with its chat template.")
            raise no_tokenizer(folder, text.format(folder=plain(folder.name)))


def is_tokenizer(folder: Path) -> bool:
    """Whether there are words and the settings, without which nobody knows what kind it is and what fills a row up."""
    return any(is_file(folder / name) for name in WORDS) and is_file(folder / SETTINGS)


def no_tokenizer(folder: Path, message: str) -> UserError:
    """The error for a ``folder`` whose tokenizer cannot serve."""
    return UserError(
        message,
        place=str(folder),
        remedy=_("Take the whole folder tokenizer of the published model."),
        code="model.tokenizer",
    )


def _has_template(folder: Path) -> bool:
    if is_file(folder / "chat_template.jinja"):
        return True
    try:
        config = read_object(folder / SETTINGS)
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and bool(config.get("chat_template"))
