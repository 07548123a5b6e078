"""Stable Diffusion 1.x in torch: load, encode text and images, predict noise, decode. Loads only what is asked for.

Each part (UNet, text encoder, VAE) is loaded on first use and can be let go of, so that nothing sits in memory
that the phase at hand does not need.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.errors import UserError
from lora_tui.families.sd15.facts import FACTS
from lora_tui.families.sd15.shape import CLIP_PREFIX, Shape, shape_of_tensors
from lora_tui.families.source import Source, resolve
from lora_tui.families.state_dicts import load_exactly, read_tensors
from lora_tui.families.text_chunks import CHUNK, chunk_ids, join_chunks
from lora_tui.text import _, plain

ASSETS = Path(__file__).resolve().parents[2] / "assets" / "sd15"


class Sd15Model:
    """The parts of one SD1.x base model on ``device`` in ``dtype``; the VAE always works in float32."""

    facts = FACTS

    def __init__(
        self, section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Resolve the source; nothing large is read yet.

        Raises:
            UserError: the base model is missing, pickled or of another family.
        """
        self.section = section
        self.captions = captions
        self.device = device
        self.dtype = dtype
        self.source = resolve(section.base, allow_pickle=section.allow_pickle)
        _refuse_other_families(self.source)
        self._unet: UNet2DConditionModel | None = None
        self._text_encoder: CLIPTextModel | None = None
        self._vae: AutoencoderKL | None = None
        self._tokenizer: CLIPTokenizer | None = None
        self._configs: Path | None = None
        self._holder: tempfile.TemporaryDirectory[str] | None = None

    # -- parts ---------------------------------------------------------------------------------------------------

    @property
    def unet(self) -> UNet2DConditionModel:
        if self._unet is None:
            if self.source.kind == "folder":
                unet = UNet2DConditionModel.from_pretrained(
                    self.source.path,
                    subfolder="unet",
                    torch_dtype=self.dtype,
                    local_files_only=True,
                    **self._variant("unet"),
                )
            else:
                unet = UNet2DConditionModel.from_single_file(
                    self._single(), config=str(self._config_folder()), subfolder="unet", torch_dtype=self.dtype,
                    local_files_only=True,
                )  # fmt: skip
            self._unet = _frozen(unet).to(self.device)
        return self._unet

    @property
    def text_encoder(self) -> CLIPTextModel:
        if self._text_encoder is None:
            if self.source.kind == "folder":
                encoder = CLIPTextModel.from_pretrained(
                    self.source.path, subfolder="text_encoder", dtype=self.dtype, local_files_only=True,
                    **self._variant("text_encoder"),
                )  # fmt: skip
            else:
                encoder = self._text_encoder_of_file().to(self.dtype)
            self._text_encoder = _frozen(encoder).to(self.device)
        return self._text_encoder

    @property
    def vae(self) -> AutoencoderKL:
        if self._vae is None:
            self._vae = _frozen(self._load_vae()).to(self.device)
        return self._vae

    @property
    def tokenizer(self) -> CLIPTokenizer:
        if self._tokenizer is None:
            folder = self.source.path if self.source.kind == "folder" else ASSETS
            self._tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
            words = len(self._tokenizer)
            known = self.text_encoder.config.vocab_size if self._text_encoder is not None else words
            if words > known:
                raise UserError(
                    _("the tokenizer has {words} entries, the text encoder only {known}.").format(
                        words=words, known=known
                    ),
                    place=str(folder / "tokenizer"),
                    remedy=_("Use the tokenizer that belongs to this model."),
                    code="model.tokenizer",
                )
        return self._tokenizer

    def denoiser(self) -> nn.Module:
        """The network that a run trains."""
        return self.unet

    def text_encoders(self) -> dict[str, nn.Module]:
        """The text encoders by part name."""
        return {"text_encoder": self.text_encoder}

    def release(self, *parts: str) -> None:
        """Forget ``unet``, ``text_encoder`` or ``vae``; the next use loads it again."""
        for part in parts:
            setattr(self, f"_{part}", None)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def enable_checkpointing(self, *, text_encoder: bool) -> None:
        """Compute activations again in the backward pass instead of keeping them."""
        self.unet.enable_gradient_checkpointing()
        if text_encoder:
            self.text_encoder.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            self.text_encoder.train()  # transformers checkpoints only in training mode; CLIP has no dropout

    def park(self) -> None:
        """Move what is loaded to the CPU, freeing the GPU."""
        for part in self.loaded():
            part.to("cpu")
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def unpark(self) -> None:
        """Move what is loaded back."""
        for part in self.loaded():
            part.to(self.device)

    def loaded(self) -> list[nn.Module]:
        """The parts in memory now."""
        return [part for part in (self._unet, self._text_encoder, self._vae) if part is not None]

    # -- text ----------------------------------------------------------------------------------------------------

    def token_count(self, text: str) -> int:
        """Tokens of ``text`` without start and end."""
        return len(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    def chunks_needed(self, texts: Iterable[str]) -> int:
        """How many chunks of 75 tokens the longest of ``texts`` takes, within the configured limit."""
        longest = max((self.token_count(text) for text in texts), default=0)
        return min(max(1, -(-longest // CHUNK)), self.captions.max_tokens // CHUNK)

    def token_ids(self, texts: list[str], *, chunks: int = 0) -> Tensor:
        """What the text encoder reads of ``texts``: [batch, chunks, 77]; ``chunks`` as for :meth:`encode_text`."""
        tokenizer = self.tokenizer
        chunks = chunks or self.chunks_needed(texts)
        rows = [tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"] for text in texts]
        start, end, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
        assert start is not None and end is not None
        return chunk_ids(rows, chunks, start=start, end=end, pad=end if pad is None else pad)

    def encode_text(self, texts: list[str], *, chunks: int = 0) -> dict[str, Tensor]:
        """Embeddings of ``texts``: ``{"text": [batch, positions, width]}`` in the model's dtype.

        A caption of more than 75 tokens is read in chunks whose states are joined (77, 152 or 227 positions);
        ``chunks`` fixes their number (0: what the longest text needs). The layer is the one that clip skip
        names, passed through the final norm.
        """
        encoder = self.text_encoder
        ids = self.token_ids(texts, chunks=chunks).to(self.device)
        output = encoder(ids.flatten(0, 1), output_hidden_states=True)
        layers = output.hidden_states
        skip = min(self.section.clip_skip, len(layers) - 1)
        norm = getattr(encoder, "text_model", encoder).final_layer_norm
        states = output.last_hidden_state if skip == 1 else norm(layers[-skip])
        return {"text": join_chunks(states.unflatten(0, ids.shape[:2]))}

    # -- images --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def encode_image(self, pixels: Tensor, noise: Tensor) -> Tensor:
        """Latents of ``pixels`` ([batch, 3, height, width] in -1..1): one draw of the posterior with ``noise``.

        ``noise`` is standard normal, [batch, 4, height / 8, width / 8]. The result is float32, scaled for the UNet.
        """
        vae = self.vae
        posterior = vae.encode(pixels.to(self.device, torch.float32)).latent_dist
        latents = posterior.mean + posterior.std * noise.to(self.device, torch.float32)
        return latents * vae.config.scaling_factor

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        """Pixels ([batch, 3, height, width] in 0..1, float32) of scaled latents."""
        vae = self.vae
        pixels = vae.decode(latents.to(self.device, torch.float32) / vae.config.scaling_factor).sample
        return (pixels / 2 + 0.5).clamp(0, 1)

    # -- the step ------------------------------------------------------------------------------------------------

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: dict[str, Tensor]) -> Tensor:
        """The noise that the UNet sees in ``noisy`` ([batch, 4, h, w]) at ``timesteps`` ([batch])."""
        text = conditioning["text"]
        return self.unet(noisy, timesteps, encoder_hidden_states=text, return_dict=False)[0]

    def scheduler_config(self) -> dict[str, Any]:
        """The noise schedule in diffusers' words."""
        if self.source.kind == "folder":
            path = self.source.path / "scheduler" / "scheduler_config.json"
            if path.is_file():
                return dict(json.loads(path.read_text("utf-8")))
        return dict(json.loads((ASSETS / "scheduler" / "scheduler_config.json").read_text("utf-8")))

    # -- loading -------------------------------------------------------------------------------------------------

    def _variant(self, part: str) -> dict[str, str]:
        """``variant="fp16"`` when the folder has nothing else."""
        names = [p.name for p in (self.source.path / part).glob("*.safetensors")]
        if not names:
            raise UserError(
                _("{part} has no .safetensors weights.").format(part=part),
                place=str(self.source.path / part),
                remedy=_("Convert the folder with diffusers, or use a single .safetensors file."),
                code="model.pickle",
            )
        return {"variant": "fp16"} if all(".fp16." in name for name in names) else {}

    def _single(self) -> Any:
        """What diffusers' single-file loader takes: the path, or tensors read without running a pickle."""
        return str(self.source.path) if self.source.kind == "file" else dict(self._tensors())

    def _tensors(self, prefix: str = "") -> dict[str, Tensor]:
        return read_tensors(self.source.path, prefix=prefix, pickled=self.source.kind == "pickle")

    def _config_folder(self) -> Path:
        """A folder of configuration files for a single file, written from the shapes of its tensors."""
        if self._configs is None:
            shape = self._shape()
            self._holder = tempfile.TemporaryDirectory(prefix="lora-tui-")
            self._configs = Path(self._holder.name)
            for part, config in (("unet", shape.unet_config()), ("vae", shape.vae_config())):
                (self._configs / part).mkdir()
                (self._configs / part / "config.json").write_text(json.dumps(config), "utf-8")
        return self._configs

    def _shape(self) -> Shape:
        from lora_tui.families.sd15.shape import tensor_shapes

        try:
            if self.source.kind == "pickle":
                return shape_of_tensors({name: tuple(t.shape) for name, t in self._tensors().items()})
            return shape_of_tensors(tensor_shapes(self.source.path))
        except KeyError as error:
            raise UserError(
                _("a part of Stable Diffusion 1.x is missing in it: {name}.").format(name=plain(str(error.args[0]))),
                place=str(self.source.path),
                remedy=_("Use a complete checkpoint (UNet, text encoder and VAE in one file)."),
                code="model.incomplete",
            ) from None

    def _text_encoder_of_file(self) -> CLIPTextModel:
        """The text encoder of a single file; field files name it with or without ``text_model.``."""
        shape = self._shape()
        encoder = CLIPTextModel(CLIPTextConfig(**shape.clip_config()))
        tensors = {}
        for name, tensor in self._tensors(CLIP_PREFIX).items():
            name = name.removeprefix(CLIP_PREFIX).removeprefix("text_model.")
            if not name.endswith("position_ids"):  # a constant; absent, int64 or even half in field files
                tensors[name] = tensor
        load_exactly(encoder, tensors, optional_prefix="text_model.", place=f"{self.source.path}: text encoder")
        return encoder

    def _load_vae(self) -> AutoencoderKL:
        options: dict[str, Any] = {"torch_dtype": torch.float32, "local_files_only": True}
        if self.section.vae:
            source = resolve(self.section.vae, place="model.vae", allow_pickle=self.section.allow_pickle) if not Path(
                self.section.vae
            ).is_dir() else Source("folder", Path(self.section.vae))  # fmt: skip
            if source.kind == "folder":
                nested = (source.path / "vae").is_dir()
                return AutoencoderKL.from_pretrained(source.path, subfolder="vae" if nested else "", **options)
            single: Any = str(source.path)
            if source.kind == "pickle":
                single = read_tensors(source.path, pickled=True)
            return AutoencoderKL.from_single_file(single, config=str(ASSETS), subfolder="vae", **options)
        if self.source.kind == "folder":
            return AutoencoderKL.from_pretrained(self.source.path, subfolder="vae", **options, **self._variant("vae"))
        return AutoencoderKL.from_single_file(
            self._single(), config=str(self._config_folder()), subfolder="vae", **options
        )


def open_model(
    section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
) -> Sd15Model:
    """The family's door: see :class:`Sd15Model`."""
    return Sd15Model(section, captions, device=device, dtype=dtype)


def _frozen(module: nn.Module) -> Any:
    module.requires_grad_(False)
    return module.eval()


def _refuse_other_families(source: Source) -> None:
    from lora_tui.weights.header import identify_model

    if source.kind == "pickle":
        return
    kind = identify_model(source.path)
    if kind.family != "sd15" or kind.kind not in ("checkpoint", "diffusers"):
        raise UserError(
            _("it is no Stable Diffusion 1.5 checkpoint but {found}.").format(found=kind.detail or kind.kind),
            place=str(source.path),
            remedy=_("Choose a base model of the family that model.family names."),
            code="model.family",
        )
