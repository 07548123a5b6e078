"""The CLIP text encoders of a family: where they lie, what is read of them, their names in single files. No torch.

Checkpoints of Stable Diffusion 1.x carry OpenAI's CLIP under the names of transformers; those of 2.x and the second
encoder of XL carry OpenCLIP's, whose attention has query, key and value in one matrix.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lora_tui.families.blocks import block_count
from lora_tui.families.unet.shape import TextShape

END, EXCLAMATION = "<|endoftext|>", "!"
_OPEN_WHOLE = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
    "text_projection.weight": "text_projection",
}
_OPEN_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_LAYER = re.compile(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
FUSED = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
"""What OpenCLIP keeps as one matrix, in its order."""
PROJECTION = "text_projection.weight"
"""The layer behind a pooled vector, which OpenCLIP has turned round."""


@dataclass(frozen=True)
class Encoder:
    """One text encoder of a family.

    Attributes:
        part: its folder in diffusers' layout, and its name among the parts of an adapter.
        tokenizer: the folder of its tokenizer.
        prefix: what its tensors begin with in a single file.
        open_clip: whether they have OpenCLIP's names there.
        activation: of its feed-forward layers, as transformers calls it.
        reads: which states condition the UNet: of the layer that ``model.clip_skip`` names, through the final norm;
            of the ``last`` layer, likewise; of the layer ``before_last``, as they are.
        pooled: whether its pooled and projected vector is told, too.
        pad: the token that fills a row after its end.
        unread: layers at its end that a single file holds and nobody reads.
    """

    prefix: str
    part: str = "text_encoder"
    tokenizer: str = "tokenizer"
    open_clip: bool = False
    activation: str = "quick_gelu"
    reads: Literal["clip_skip", "last", "before_last"] = "clip_skip"
    pooled: bool = False
    pad: str = END
    unread: int = 0

    @property
    def ids(self) -> str:
        """The name of its tokens among those of a caption."""
        return f"ids{self.part.removeprefix('text_encoder')}"

    def file_name(self, name: str) -> str:
        """The single-file name of the tensor that holds ``name`` (as transformers calls it, perhaps nested).

        Raises:
            ValueError: it has no such tensor.
        """
        name = name.removeprefix("text_model.")
        if not self.open_clip:
            return f"{self.prefix}text_model.{name}"
        if name in _OPEN_WHOLE:
            return self.prefix + _OPEN_WHOLE[name]
        found = _LAYER.fullmatch(name)
        if found is None:
            raise ValueError(f"no tensor of a text encoder: {name}")
        layer, path, kind = found.groups()
        block = f"{self.prefix}transformer.resblocks.{layer}."
        return f"{block}attn.in_proj_{kind}" if path in FUSED else f"{block}{_OPEN_LAYER[path]}.{kind}"

    def shape_of(self, shapes: Mapping[str, tuple[int, ...]]) -> TextShape:
        """Its shape in a single file.

        Raises:
            KeyError: it is not there.
            ValueError: of a layer that no model has.
        """
        prefix = self._nested(shapes)

        def at(name: str) -> str:
            return prefix + self.file_name(name).removeprefix(self.prefix).removeprefix("text_model.")

        first = at("encoder.layers.0.mlp.fc1.weight")
        depth = block_count(shapes, f"{first.rpartition('.0.')[0]}.")
        beside = f"{self.prefix}text_projection.weight"
        projection = shapes.get(beside) or shapes.get(at("text_projection.weight"))
        if self.pooled and projection is None:
            raise KeyError(beside)
        vocabulary, width = shapes[at("embeddings.token_embedding.weight")]
        return TextShape(
            width=width,
            layers=max(depth - self.unread, 1),
            inner=shapes[first][0],
            vocabulary=vocabulary,
            positions=shapes[at("embeddings.position_embedding.weight")][0],
            projection=projection[self.open_clip] if self.pooled and projection else 0,
        )

    def _nested(self, shapes: Mapping[str, tuple[int, ...]]) -> str:
        """Field files name CLIP with or without ``text_model.``."""
        if self.open_clip:
            return self.prefix
        for prefix in (f"{self.prefix}text_model.", self.prefix):
            if f"{prefix}embeddings.token_embedding.weight" in shapes:
                return prefix
        raise KeyError("text encoder")
