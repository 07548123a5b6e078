"""What lies beside a transformer, kind by kind: how headers and configuration files tell it. Knows no torch.

A family whose text encoder or VAE is of another kind adds a class here, or in its own package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from lora_tui.errors import UserError
from lora_tui.families.parts import DIFFUSERS_STEM, TRANSFORMERS_STEM
from lora_tui.families.separate.reading import clip_of_config
from lora_tui.families.separate.shapes import t5_of_config, t5_shape
from lora_tui.families.separate.tensors import clip_tensors, makers_vae, vae_tensors
from lora_tui.families.told import unusual
from lora_tui.families.unet.encoders import Encoder
from lora_tui.families.unet.shape import vae_channels
from lora_tui.text import _, plain

#: Names of tensors in a file -> their shapes.
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Kind:
    """A kind of part.

    Attributes:
        stem: what its weights are called in its folder.
        signs: tensors, any of which tells that it is there, after what all of its names begin with.
        models: what a folder's configuration calls it (``model_type`` of transformers); none where it says nothing.
    """

    stem: ClassVar[str] = TRANSFORMERS_STEM
    signs: ClassVar[tuple[str, ...]] = ()
    models: ClassVar[tuple[str, ...]] = ()

    def check_shapes(self, shapes: Shapes, prefix: str, path: Path) -> None:
        """Refuse a file at ``path`` in which a part of this kind, whose names begin with ``prefix``, is another.

        Raises:
            UserError: what is wrong.
            KeyError, IndexError, ValueError: of the tensor that is missing, by name.
        """
        self.width(shapes, prefix)

    def check_config(self, config: Mapping[str, Any], path: Path) -> None:
        """Refuse the folder ``path`` whose configuration says another thing than this kind.

        Raises:
            UserError: what is wrong.
        """

    def width(self, shapes: Shapes, prefix: str) -> int:
        """How wide the features are that a text encoder in a file gives; 0 of what gives none.

        Raises:
            KeyError, IndexError, ValueError: as :meth:`check_shapes`.
        """
        return 0

    def width_told(self, config: Mapping[str, Any]) -> int:
        """The same of one in a folder with this ``config.json``.

        Raises:
            KeyError, ValueError, TypeError: it says something else.
        """
        return 0

    def tensors(self, shapes: Shapes, prefix: str) -> Shapes:
        """Names and shapes of all tensors that it must have in a file, by the widths and depths that these tell.

        Raises:
            KeyError, IndexError, ValueError: as :meth:`check_shapes`.
        """
        return {}

    def tensors_told(self, config: Mapping[str, Any]) -> Shapes:
        """The same of one in a folder with this ``config.json``.

        Raises:
            KeyError, ValueError, TypeError: it says something else.
        """
        return {}

    def own_name(self, name: str) -> str:
        """What :meth:`tensors` calls the tensor with this ``name`` in a folder, or in a file behind what begins all."""
        return name

    def check_tokenizer(self, folder: Path) -> None:
        """Refuse the tokenizer in ``folder`` that a text encoder of this kind cannot read texts with.

        Raises:
            UserError: what is missing.
        """


@dataclass(frozen=True)
class Clip(Kind):
    """CLIP's text encoder; ``encoder`` says what is read of it."""

    signs: ClassVar[tuple[str, ...]] = (
        "text_model.embeddings.token_embedding.weight",
        "embeddings.token_embedding.weight",
    )
    models: ClassVar[tuple[str, ...]] = ("clip_text_model", "clip")
    encoder: Encoder = field(default_factory=lambda: Encoder(prefix=""))

    def at(self, prefix: str) -> Encoder:
        """As a single file holds it, whose names begin with ``prefix``."""
        return replace(self.encoder, prefix=prefix)

    def width(self, shapes: Shapes, prefix: str) -> int:
        return self.at(prefix).shape_of(shapes).width

    def width_told(self, config: Mapping[str, Any]) -> int:
        return int(config["hidden_size"])

    def tensors(self, shapes: Shapes, prefix: str) -> Shapes:
        return clip_tensors(self.at(prefix).shape_of(shapes))

    def tensors_told(self, config: Mapping[str, Any]) -> Shapes:
        return clip_tensors(clip_of_config(config, projected=self.encoder.pooled))

    def own_name(self, name: str) -> str:
        return name.removeprefix("text_model.")


@dataclass(frozen=True)
class T5(Kind):
    """T5's encoder."""

    signs: ClassVar[tuple[str, ...]] = ("encoder.block.0.layer.0.SelfAttention.q.weight",)
    models: ClassVar[tuple[str, ...]] = ("t5",)

    def check_shapes(self, shapes: Shapes, prefix: str, path: Path) -> None:
        """UMT5, which lies beside it where people keep text encoders, has its widths and other words."""
        if f"{prefix}encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight" in shapes:
            raise UserError(
                _("{name} is UMT5, which knows other words than T5.").format(name=plain(path.name)),
                place=str(path),
                remedy=_("Choose the T5 that the model was published with, such as t5xxl_fp16.safetensors."),
                code="model.part",
            )

    def width(self, shapes: Shapes, prefix: str) -> int:
        return t5_shape(shapes, prefix).width

    def width_told(self, config: Mapping[str, Any]) -> int:
        return t5_of_config(config).width

    def tensors(self, shapes: Shapes, prefix: str) -> Shapes:
        return t5_shape(shapes, prefix).tensors()

    def tensors_told(self, config: Mapping[str, Any]) -> Shapes:
        return t5_of_config(config).tensors()

    def own_name(self, name: str) -> str:
        return "shared.weight" if name == "encoder.embed_tokens.weight" else name


@dataclass(frozen=True)
class KlVae(Kind):
    """diffusers' ``AutoencoderKL`` with ``channels`` of latents, without convolutions around them.

    A single file does not tell how its latents are trained: as ``(latents - shift) * scale``.
    """

    stem: ClassVar[str] = DIFFUSERS_STEM
    signs: ClassVar[tuple[str, ...]] = ("decoder.conv_in.weight",)
    scale: float = 1.0
    shift: float = 0.0
    channels: int = 16

    def check_shapes(self, shapes: Shapes, prefix: str, path: Path) -> None:
        vae_channels(shapes, prefix)
        self._check_channels(shapes[prefix + "decoder.conv_in.weight"][1], path)

    def check_config(self, config: Mapping[str, Any], path: Path) -> None:
        self._check_channels(config.get("latent_channels", self.channels), path)
        if config.get("_class_name", "AutoencoderKL") != "AutoencoderKL":
            raise wrong_vae(None, self.channels, path)
        if config.get("scaling_factor", self.scale) is None:
            raise unusual(path / "config.json", "scaling_factor", None)

    def tensors(self, shapes: Shapes, prefix: str) -> Shapes:
        return vae_in_file(shapes, prefix)

    def tensors_told(self, config: Mapping[str, Any]) -> Shapes:
        return vae_told(config)

    def own_name(self, name: str) -> str:
        return vae_name(name)

    def _check_channels(self, channels: Any, path: Path) -> None:
        if channels != self.channels:
            raise wrong_vae(channels, self.channels, path)


def vae_in_file(shapes: Shapes, prefix: str, *, around: tuple[bool, bool] = (False, False)) -> Shapes:
    """What a VAE with the widths that the ``shapes`` tell must have in a file, in the layout that it has there.

    Raises:
        KeyError, IndexError: of the tensor that is missing.
    """
    channels = vae_channels(shapes, prefix)
    wanted = vae_tensors(channels, shapes[f"{prefix}decoder.conv_in.weight"][1], around=around)
    makers = f"{prefix}encoder.down.0.block.0.conv2.weight" in shapes
    return makers_vae(wanted, len(channels)) if makers else wanted


def vae_told(config: Mapping[str, Any]) -> Shapes:
    """What a VAE in a folder with this ``config.json`` must have.

    Raises:
        KeyError: it says too little.
    """
    around = (config.get("use_quant_conv", True), config.get("use_post_quant_conv", True))
    return vae_tensors(tuple(config["block_out_channels"]), config["latent_channels"], around=around)


#: What older files of diffusers call the layers of an attention.
_OLD = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}


def vae_name(name: str) -> str:
    """A tensor of a VAE by the newer one of two names."""
    for old, new in _OLD.items() if ".attentions." in name else ():
        name = name.replace(old, new)
    return name


def wrong_vae(channels: Any, wanted: int, path: Path, remedy: str = "") -> UserError:
    """The error for a VAE of another family, which often has other ``channels`` of latents than are ``wanted``."""
    return UserError(
        _("{name} is the VAE of another family.").format(name=plain(path.name))
        if channels in (None, wanted)
        else _("{name} is the VAE of another family: it has {channels} channels, not {wanted}.").format(
            name=plain(path.name), channels=plain(str(channels), limit=20), wanted=wanted
        ),
        place=str(path),
        remedy=remedy or _("Choose the VAE that the model was published with (ae.safetensors for FLUX.1)."),
        code="model.vae_family",
    )
