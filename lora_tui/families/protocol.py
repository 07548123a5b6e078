"""What a family says of itself: :class:`Facts`, light, and :class:`Model`, with torch.

Plan, form and files need the first, the trainer and the renderer the second; none of them knows a family by name.
This file imports no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from lora_tui.families.beneath import Beneath

#: Named tensors, each with the batch as its first dimension. Only the family knows the names.
Tensors = dict[str, "Tensor"]
#: Large parts that leave memory when nothing needs them any more; ``frozen_text`` are the encoders that never learn,
#: ``network`` is what draws.
Releasable = Literal["vae", "text_encoders", "frozen_text", "network"]


@dataclass(frozen=True)
class TargetModule:
    """One layer that an adapter attaches to.

    ``path`` is the module's dotted name below what :meth:`Model.adapted_modules` gives for ``part``; ``inputs`` and
    ``outputs`` are its widths (channels for a convolution, whose kernel is ``kernel`` cells wide and high).
    """

    part: str
    path: str
    inputs: int
    outputs: int
    convolution: bool = False
    kernel: int = 1

    def parameters(self, rank: int) -> int:
        """Trainable parameters of a LoRA of ``rank`` on this layer: down (rank x in x kernel^2) and up (out x rank)."""
        return rank * (self.inputs * self.kernel**2 + self.outputs)


@dataclass(frozen=True)
class Framing:
    """How an image became a training image, or the image to draw; all in px.

    Attributes:
        original: width and height before scaling.
        corner: left and top of the cut in the scaled (and, where it is, mirrored) image.
        size: width and height that are trained or drawn.
    """

    original: tuple[int, int]
    corner: tuple[int, int]
    size: tuple[int, int]


@dataclass(frozen=True)
class Storage:
    """How the frozen base is kept while an adapter learns or draws on it.

    Attributes:
        weights: of the layers that adapters attach to: ``full`` (in the model's precision), or packed as ``int8``,
            ``fp8`` or ``nf4``.
        streamed: blocks of the network that draws that stay in the computer's memory and visit the device in turn.
        products: ``8bit``: layers packed as ``int8`` or ``fp8`` multiply in 8 bits
            (:mod:`lora_tui.families.eight_bits`).
        channels_last: the convolutions of the base have the channels of a point side by side in memory.
    """

    weights: Literal["full", "int8", "fp8", "nf4"] = "full"
    streamed: int = 0
    products: Literal["full", "8bit"] = "full"
    channels_last: bool = False

    def visiting(self, count: int) -> list[int]:
        """The numbers of the streamed blocks among ``count``, as evenly as they go.

        Between blocks that are copied others compute, so that a copy has time to arrive.
        """
        chosen = min(self.streamed, count)
        return [number * count // chosen for number in range(chosen)]


@dataclass(frozen=True)
class TextPart:
    """Text encoders whose embeddings are kept together.

    Attributes:
        tokens: the entries of :meth:`Model.tokenize` that they read.
        learns: whether they are trained where text encoders are; otherwise their embeddings can always be kept.
    """

    tokens: tuple[str, ...]
    learns: bool = True


class Facts(Protocol):
    """What can be known of a family without torch."""

    name: str
    title: str
    resolution: int  # px, the side of the square it was trained at
    size_multiple: int  # px, sides of training and sample images are multiples of it
    latent_factor: int  # image side / latent side
    latent_channels: int
    denoiser: str  # part name of the network that draws: ``unet``, ``transformer``
    implementation: str  # modelspec.implementation
    separate: tuple[str, ...]  # settings of ``model`` that name parts which a single file may lack
    text_layer: int  # of the text encoder, from its end, that conditions the network; 0: the one of ``model.clip_skip``

    def versions(self, prediction: str) -> tuple[str, str]:
        """``ss_base_model_version`` and ``modelspec.architecture`` (without /lora) of a model that predicts so."""
        ...

    def targets(
        self, base: str | Path = "", *, text_encoder: bool = True, convolutions: bool = False
    ) -> tuple[TargetModule, ...]:
        """The layers a LoRA attaches to for the model at ``base`` (full size when it cannot be read).

        With ``convolutions`` also those of the blocks of convolutions, where the family has any.
        """
        ...

    def part_parameters(self, base: str | Path = "") -> dict[str, int]:
        """Parameters of the base model by part: ``unet``, ``text_encoder``, ``vae``."""
        ...

    def block_rest(self, base: str | Path = "") -> Mapping[str, int]:
        """Large weights of blocks that no adapter attaches to, by block: they are never packed, and stream with it."""
        ...

    def text_values(self, base: str | Path = "", *, t5_tokens: int = 512, text_encoder: bool = False) -> int:
        """Numbers in the embeddings of a caption: of one chunk of CLIP, and of ``t5_tokens`` where T5 reads it.

        With ``text_encoder`` only those of encoders that never learn.
        """
        ...

    def activation_bytes(
        self,
        width: int,
        height: int,
        batch: int,
        *,
        bytes_per_value: int,
        checkpointing: bool,
        text_encoder: bool = False,
        convolutions: bool = False,
        lean: bool = False,
        t5_tokens: int = 512,
        base: str | Path = "",
    ) -> int:
        """Estimate of what one training step keeps for its backward pass, in bytes on the device.

        ``lean``: each adapter is two matrices and nothing else, which in half precision need no float32 copies of what
        goes into their layer.
        """
        ...


def latent_shape(facts: Facts, width: int, height: int) -> tuple[int, int, int]:
    """(channels, height, width) of the latents of an image of ``width`` x ``height`` px."""
    return facts.latent_channels, height // facts.latent_factor, width // facts.latent_factor


class Model(Protocol):
    """The parts of one base model on ``device`` in ``dtype``; each is loaded on first use.

    Latents are [batch, channels, height / factor, width / factor] outside the model, also where the network itself
    takes them packed into tokens; they are scaled (and shifted) as the network expects them.

    Attributes:
        prediction: what :meth:`predict` gives, as ``trainer.objectives`` calls it: ``epsilon`` (the noise),
            ``v_prediction``, ``flow`` (noise minus latents).
        embeds_guidance: the strength of guidance goes into the network (FLUX.1 dev), so that one prediction an image
            is enough; otherwise it takes a second prediction for the negative prompt.
        beneath: LoRA files that are merged into it as it is loaded.
        storage: how the network that draws is kept; set before its first use.
        tiled: images are decoded in strips, which takes less memory of the device and more time.
        text_parts: its text encoders in groups, by what is kept of them.
        masks_text: whether the network attends to a caption's own tokens alone, so that rows of a batch may differ in
            length.
        token_limit: the tokens of a caption, counted by :meth:`token_count`, beyond which it is cut, and the setting
            that says so.
    """

    facts: Facts
    device: torch.device
    dtype: torch.dtype
    prediction: str
    embeds_guidance: bool
    storage: Storage
    beneath: Beneath
    tiled: bool
    text_parts: tuple[TextPart, ...]
    masks_text: bool

    # -- parts ---------------------------------------------------------------------------------------------------

    def adapted_modules(self, *, text_encoder: bool) -> dict[str, nn.Module]:
        """What adapters attach to, by part, the denoiser first; with ``text_encoder`` every encoder that is trained.

        Base weights are frozen. The paths of :meth:`targets` begin here.
        """
        ...

    def targets(self, *, text_encoder: bool, convolutions: bool = False) -> tuple[TargetModule, ...]:
        """The layers that an adapter attaches to in this very model."""
        ...

    def weight_files(self) -> tuple[Path, ...]:
        """The files that the weights come from, a separate VAE among them, in a fixed order."""
        ...

    def enable_checkpointing(self, *, text_encoder: bool, share: float = 1.0) -> None:
        """Compute activations of a ``share`` of the blocks again in the backward pass instead of keeping them.

        Streamed blocks are always among them. It may be called again with another share.
        """
        ...

    def keep(self, storage: Storage) -> None:
        """Keep the network that draws as ``storage`` says from now on, also when it is loaded and adapters learn on it.

        No gradients may wait. What is packed already is not packed again.

        Raises:
            torch.OutOfMemoryError: there is no room for that; another call may have more luck.
        """
        ...

    def put_aside(self, *parts: Releasable) -> None:
        """Have these parts, of which none learns, work on the processor from now on; slowly, and for good."""
        ...

    def loaded(self) -> list[nn.Module]:
        """The parts in memory now."""
        ...

    def release(self, *parts: Releasable) -> None:
        """Forget these parts; the next use loads them again."""
        ...

    def park(self) -> None:
        """Move what is loaded to the CPU, freeing the GPU."""
        ...

    def unpark(self) -> None:
        """Move what is loaded back.

        Raises:
            torch.OutOfMemoryError: the GPU has no room for it.
        """
        ...

    # -- text ----------------------------------------------------------------------------------------------------

    def token_count(self, text: str) -> int:
        """Tokens of ``text`` for the encoder that cuts first, without start and end."""
        ...

    @property
    def token_limit(self) -> tuple[int, str]: ...

    def text_length(self, texts: Iterable[str]) -> int:
        """How long rows of tokens must be for the longest of ``texts``, within the configured limit.

        The unit is the family's own (CLIP counts chunks of 75 tokens); rows of one length have embeddings of one
        shape, which can be stacked.
        """
        ...

    def tokenize(self, texts: Sequence[str], length: int) -> Tensors:
        """What the text encoders read of ``texts``, on the CPU, one entry an encoder. Any thread may call it."""
        ...

    def encode_text(self, tokens: Tensors) -> Tensors:
        """The conditioning from :meth:`tokenize`'s tensors: sequences, pooled vectors, masks, as the network wants.

        Only those encoders work whose tokens are there.
        Gradients flow where the encoders are trained. Tokens in pinned memory are copied without waiting.
        """
        ...

    def text_identity(self, part: TextPart) -> str:
        """Names all that decides an embedding besides the tokens: weights of the encoders, precision, layer read."""
        ...

    # -- images --------------------------------------------------------------------------------------------------

    def encode_image(self, pixels: Tensor, noise: Tensor) -> Tensor:
        """Latents of ``pixels`` ([batch, 3, height, width] in -1..1), float32: a draw of the posterior with ``noise``.

        ``noise`` is standard normal in the shape of the latents.
        """
        ...

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Pixels ([batch, 3, height, width] in 0..1, float32) of latents."""
        ...

    def latent_identity(self) -> str:
        """Names all that decides a latent besides pixels and noise: weights of the VAE, scale, shift."""
        ...

    # -- the step ------------------------------------------------------------------------------------------------

    def picture_conditioning(self, framings: Sequence[Framing], *, guidance: float | None = None) -> Tensors:
        """What the network is told of each picture besides its text, on the CPU: SDXL's six time ids, a guidance.

        ``guidance`` is the strength to draw with; none while training. Any thread may call it.
        """
        ...

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Tensors) -> Tensor:
        """What the network sees in ``noisy`` ([batch, channels, h, w]) at ``timesteps`` ([batch], 0 to 1000).

        ``conditioning`` has the entries of :meth:`encode_text` and :meth:`picture_conditioning`. The result has the
        shape of ``noisy`` and the meaning of ``prediction``.
        """
        ...

    def guided(self, told: Tensor, untold: Tensor, strength: float) -> Tensor:
        """The prediction to follow, from those with the prompt and with the negative one ([batch, channels, h, w])."""
        ...

    def scheduler_config(self) -> Mapping[str, Any]:
        """The noise schedule in diffusers' words."""
        ...

    def shift(self, width: int, height: int) -> float:
        """The factor that shifts flow matching's noise levels for an image of ``width`` x ``height`` px; 1 is none."""
        ...

    def drawing_shift(self, width: int, height: int, steps: int) -> float:
        """The same while such an image is drawn in so many ``steps``."""
        ...
