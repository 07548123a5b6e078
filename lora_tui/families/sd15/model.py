"""Stable Diffusion 1.x in torch: load, encode text and images, predict noise, decode. Loads only what is asked for.

Each part (UNet, text encoder, VAE) is loaded on first use and can be let go of, so that nothing sits in memory
that the phase at hand does not need.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.errors import UserError
from lora_tui.families.sd15.checks import check_shapes, check_source, read_json
from lora_tui.families.sd15.facts import FACTS
from lora_tui.families.sd15.layout import ldm_name
from lora_tui.families.sd15.particulars import ASSETS, Particulars, read_particulars
from lora_tui.families.sd15.shape import (
    CLIP_PREFIX,
    FULL,
    VAE_PREFIX,
    Shape,
    shape_of,
    shape_of_tensors,
    tensor_shapes,
    vae_channels,
)
from lora_tui.families.source import Source, expand, resolve
from lora_tui.families.state_dicts import incomplete, load_exactly, read_tensors, require_whole
from lora_tui.families.text_chunks import CHUNK, chunk_ids, join_chunks
from lora_tui.text import _, plain
from lora_tui.weights.header import read_header


class Sd15Model:
    """The parts of one SD1.x base model on ``device`` in ``dtype``; the VAE always works in float32."""

    facts = FACTS

    def __init__(
        self, section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Resolve the source and look at its headers; nothing large is read yet (of old pickles all is).

        Raises:
            UserError: the base model is missing, pickled, of another family, or one that would be trained wrongly.
        """
        self.section = section
        self.captions = captions
        self.device = device
        self.dtype = dtype
        self.source = resolve(section.base, allow_pickle=section.allow_pickle)
        check_source(self.source)
        if self.source.kind == "pickle":
            check_shapes(_shapes(self.source), self.source.path)
        self._unet: UNet2DConditionModel | None = None
        self._text_encoder: CLIPTextModel | None = None
        self._vae: AutoencoderKL | None = None
        self._tokenizer: CLIPTokenizer | None = None
        self._particulars = Particulars()
        if self.source.kind == "file":
            self._particulars = read_particulars(read_header(self.source.path).metadata)
        self._known_shape: Shape | None = None
        self._configs: Path | None = None
        self._holder: tempfile.TemporaryDirectory[str] | None = None

    # -- parts ---------------------------------------------------------------------------------------------------

    @property
    def unet(self) -> UNet2DConditionModel:
        if self._unet is None:
            if self.source.kind == "folder":
                unet = self._part_of_folder(UNet2DConditionModel, "unet", torch_dtype=self.dtype)
            else:
                unet = self._part_of_file(UNet2DConditionModel, "unet", torch_dtype=self.dtype)
            self._unet = _frozen(unet).to(self.device)
        return self._unet

    @property
    def text_encoder(self) -> CLIPTextModel:
        if self._text_encoder is None:
            if self.source.kind == "folder":
                encoder = self._part_of_folder(CLIPTextModel, "text_encoder", dtype=self.dtype)
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
            folder = self._tokenizer_home()
            tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
            words, known = len(tokenizer), self._shape().vocabulary
            if words > known:
                raise UserError(
                    _("the tokenizer has {words} entries, the text encoder only {known}.").format(
                        words=words, known=known
                    ),
                    place=str(folder / "tokenizer"),
                    remedy=_("Use the tokenizer that belongs to this model."),
                    code="model.tokenizer",
                )
            self._tokenizer = tokenizer
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
                return read_json(path)
        return dict(json.loads((ASSETS / "scheduler" / "scheduler_config.json").read_text("utf-8")))

    # -- loading -------------------------------------------------------------------------------------------------

    def _part_of_folder(self, kind: Any, part: str, **options: Any) -> Any:
        """A part of a diffusers folder, loaded by its class."""
        return _from_folder(kind, self.source.path / part, pickles=False, **options)

    def _part_of_file(self, kind: Any, part: str, **options: Any) -> Any:
        """A part of a single file, loaded by diffusers' class with the configuration that the shapes tell."""
        return _from_file(kind, self._single(), self._config_folder(), part, str(self.source.path), **options)

    def _single(self) -> Any:
        """What diffusers' single-file loader takes: the path, or tensors read without running a pickle."""
        return str(self.source.path) if self.source.kind == "file" else dict(self._tensors())

    def _tensors(self, prefix: str = "") -> dict[str, Tensor]:
        return read_tensors(self.source.path, prefix=prefix, pickled=self.source.kind == "pickle")

    def _config_folder(self) -> Path:
        """A folder of configuration files for a single file, written from the shapes of its tensors."""
        if self._configs is None:
            shape, own = self._shape(), self._particulars
            self._holder = tempfile.TemporaryDirectory(prefix="lora-tui-")
            self._configs = Path(self._holder.name)
            configs = {"unet": shape.unet_config(), "vae": shape.vae_config()}
            _write_configs(self._configs, **{part: {**c, **own.settings.get(part, {})} for part, c in configs.items()})
            (self._configs / "tokenizer").mkdir()
            for name, text in own.tokenizer.items():
                (self._configs / "tokenizer" / name).write_text(text, "utf-8")
        return self._configs

    def _tokenizer_home(self) -> Path:
        """The folder in which the tokenizer's folder lies: the model's, a single file's own, or CLIP's."""
        if self.source.kind == "folder":
            return self.source.path
        return self._config_folder() if self._particulars.tokenizer else ASSETS

    def _shape(self) -> Shape:
        if self._known_shape is None:
            self._known_shape = self._read_shape()
        return self._known_shape

    def _read_shape(self) -> Shape:
        if self.source.kind == "folder":
            return shape_of(self.source.path)
        try:
            return shape_of_tensors(_shapes(self.source))
        except (KeyError, IndexError, ValueError) as error:
            raise UserError(
                _("a part of Stable Diffusion 1.x is missing in it: {name}.").format(name=plain(str(error.args[0]))),
                place=str(self.source.path),
                remedy=_("Use a complete checkpoint (UNet, text encoder and VAE in one file)."),
                code="model.incomplete",
            ) from None

    def _text_encoder_of_file(self) -> CLIPTextModel:
        """The text encoder of a single file; field files name it with or without ``text_model.``."""
        shape = self._shape()
        own = self._particulars.settings.get("text_encoder", {})
        encoder = CLIPTextModel(CLIPTextConfig(**{**shape.clip_config(), **own}))
        tensors = {}
        for name, tensor in self._tensors(CLIP_PREFIX).items():
            name = name.removeprefix(CLIP_PREFIX).removeprefix("text_model.")
            if not name.endswith("position_ids"):  # a constant; absent, int64 or even half in field files
                tensors[name] = tensor
        load_exactly(encoder, tensors, optional_prefix="text_model.", place=f"{self.source.path}: text encoder")
        return encoder

    def _load_vae(self) -> AutoencoderKL:
        if self.section.vae:
            return _separate_vae(self.section.vae, allow_pickle=self.section.allow_pickle)
        if self.source.kind == "folder":
            return self._part_of_folder(AutoencoderKL, "vae", torch_dtype=torch.float32)
        return self._part_of_file(AutoencoderKL, "vae", torch_dtype=torch.float32)


def open_model(
    section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
) -> Sd15Model:
    """The family's door: see :class:`Sd15Model`."""
    return Sd15Model(section, captions, device=device, dtype=dtype)


def _frozen(module: nn.Module) -> Any:
    module.requires_grad_(False)
    return module.eval()


def _separate_vae(text: str, *, allow_pickle: bool) -> AutoencoderKL:
    """The VAE that ``model.vae`` names: a folder of its own or of a whole model, or a file of any layout."""
    path = expand(text)
    if not path.is_dir():
        source = resolve(text, place="model.vae", allow_pickle=allow_pickle)
        if source.kind != "folder":
            return _vae_of_file(source)
        path = source.path
    folder = path / "vae" if (path / "vae").is_dir() else path
    read_json(folder / "config.json")
    return _from_folder(AutoencoderKL, folder, pickles=allow_pickle, torch_dtype=torch.float32)


def _vae_of_file(source: Source) -> AutoencoderKL:
    """A VAE in a file of its own, or the one of a whole checkpoint; its widths are read from its tensors."""
    place = str(source.path)
    shapes = _shapes(source)
    prefix = VAE_PREFIX if any(name.startswith(VAE_PREFIX) for name in shapes) else ""
    try:
        config = replace(FULL, vae_channels=vae_channels(shapes, prefix)).vae_config()
    except (KeyError, IndexError) as error:
        raise incomplete(1, str(error.args[0]), place) from None
    single: Any = read_tensors(source.path, prefix=prefix, pickled=True) if source.kind == "pickle" else place
    with tempfile.TemporaryDirectory(prefix="lora-tui-") as holder:
        _write_configs(Path(holder), vae=config)
        return _from_file(AutoencoderKL, single, Path(holder), "vae", place, torch_dtype=torch.float32)


def _from_folder(kind: Any, folder: Path, *, pickles: bool, **options: Any) -> Any:
    """``kind`` from a folder of its configuration and weights.

    Safetensors are preferred, and plain weights to those in half precision; a pickle only where ``pickles`` allows.

    Raises:
        UserError: there are no such weights, or a tensor is missing in them.
    """
    safe = sorted(path.name for path in folder.glob("*.safetensors"))
    names = safe or (sorted(path.name for path in folder.glob("*.bin")) if pickles else [])
    if not names:
        raise UserError(
            _("{part} has no .safetensors weights.").format(part=plain(folder.name)),
            place=str(folder),
            remedy=_("Convert the folder with diffusers, or use a single .safetensors file."),
            code="model.pickle",
        )
    if all(".fp16." in name or ".fp16-" in name for name in names):
        options["variant"] = "fp16"
    try:
        module, report = kind.from_pretrained(
            folder, use_safetensors=bool(safe), local_files_only=True, output_loading_info=True, **options
        )
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        if _is_memory(error):
            raise
        raise _unloadable(error, str(folder)) from error
    require_whole(module, str(folder), report["missing_keys"])
    return module


def _from_file(kind: Any, single: Any, configs: Path, part: str, place: str, **options: Any) -> Any:
    """``kind`` from a single file (or its tensors) with the configuration in the folder ``part`` of ``configs``.

    Raises:
        UserError: a tensor is missing, or one has another shape.
    """
    try:
        module = kind.from_single_file(single, config=str(configs), subfolder=part, local_files_only=True, **options)
    except KeyError as error:  # the converters of diffusers take some tensors for granted
        raise incomplete(1, str(error.args[0]), place) from None
    except NotImplementedError:  # a module with a gap cannot be put on a device, and diffusers does not say which
        gaps = _gaps(kind, single, configs / part, part) or [part]
        raise incomplete(len(gaps), gaps[0], place) from None
    except (SafetensorError, OSError, ValueError, RuntimeError, AttributeError) as error:
        if _is_memory(error):
            raise
        raise _unloadable(error, place) from error
    require_whole(module, place)
    return module


def _gaps(kind: Any, single: Any, configs: Path, part: str) -> list[str]:
    """Tensors of ``part`` that a single file (or its tensors) lacks, as the file would name them."""
    there = set(single if isinstance(single, dict) else tensor_shapes(Path(single)))
    with torch.device("meta"):
        wanted = list(kind.from_config(read_json(configs / "config.json")).state_dict())
    if not any(".down_blocks." in name for name in there):
        wanted = [ldm_name(part, name) for name in wanted]
    return [name for name in wanted if name not in there and name.removeprefix(VAE_PREFIX) not in there]


def _is_memory(error: Exception) -> bool:
    """Whether torch ran out of memory, which is no fault of the model."""
    return isinstance(error, RuntimeError) and "memory" in str(error)


def _unloadable(error: Exception, place: str) -> UserError:
    return UserError(
        _("it cannot be loaded: {reason}").format(reason=plain(str(error), limit=200)),
        place=place,
        remedy=_("The model is damaged or of another family; fetch it again."),
        code="model.torn",
    )


def _shapes(source: Source) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a single file."""
    if source.kind == "pickle":
        return {name: tuple(tensor.shape) for name, tensor in read_tensors(source.path, pickled=True).items()}
    return tensor_shapes(source.path)


def _write_configs(folder: Path, **configs: dict[str, Any]) -> None:
    for part, config in configs.items():
        (folder / part).mkdir()
        (folder / part / "config.json").write_text(json.dumps(config), "utf-8")
