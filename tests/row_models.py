"""Small models of the families that read each caption in a row of its own length, and what their pipelines make."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import QwenImagePipeline, ZImagePipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

from lora_tui.bench.qwen_model import write_qwen_model
from lora_tui.bench.zimage_model import MICRO, write_zimage_model
from lora_tui.config.load import parse_config
from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.config.validate import check_config
from lora_tui.families import open_model
from lora_tui.families.qwen.tensors import vae_name
from lora_tui.weights.names.zimage_original import ORIGINAL, OUTER, TOKENS, original_names

TEXTS = ["a photo of a cat, red hat and a scarf", "a dog"]
WEIGHTS = "diffusion_pytorch_model.safetensors"
Tensors = dict[str, Tensor]


class RowModel(ABC):
    """One family's small model: its folder, and the files as people download them; each made when it is asked for.

    Attributes:
        prefixes: of each part's tensors in a file that holds them all.
        gap: a tensor of the transformer's file that none can do without.
        stranger: a tensor that a relative of the model has, its shape, and a word of what is said then.
        told: tensors of the transformer's file whose last side is the width of the texts that it reads.
        sizes: of latents that are predicted.
        negative: what is not to be drawn.
        learner: a weight of the first block; slot: what that block, and the last of the published model, is called.
    """

    family: str
    prefixes: dict[str, str]
    gap: str
    stranger: tuple[str, tuple[int, ...], str]
    told: tuple[str, str]
    sizes: tuple[tuple[int, int], ...]
    negative: str
    learner: str
    slot: tuple[str, str]

    def __init__(self, home: Path) -> None:
        self.home = home

    @abstractmethod
    def write(self, folder: Path) -> Path:
        """The model as a diffusers folder."""

    @abstractmethod
    def parts(self) -> dict[str, Tensors]:
        """Transformer, language model and VAE as their files have them."""

    @property
    @abstractmethod
    def pipeline(self) -> Any:
        """diffusers' own of the folder."""

    @abstractmethod
    def states(self, texts: list[str]) -> list[Tensor]:
        """What the pipeline makes of captions, without their filling."""

    @abstractmethod
    def theirs(self, latents: Tensor, timesteps: Tensor, texts: list[str]) -> Tensor:
        """What the pipeline's transformer predicts, for our sign and layout."""

    @abstractmethod
    def drawn(self, start: Tensor, guidance: float) -> Tensor:
        """The latents that the pipeline draws of the first text in three steps."""

    @cached_property
    def folder(self) -> Path:
        return self.write(self.home / "model")

    @cached_property
    def files(self) -> dict[str, Path]:
        """Transformer, language model, VAE; all in one; and the transformer in diffusers' names."""
        home, parts = self.home / "files", self.parts()
        home.mkdir()
        whole = {
            self.prefixes[part] + name: tensor.clone() for part, own in parts.items() for name, tensor in own.items()
        }
        for name, tensors in {**parts, "whole": whole}.items():
            save_file(tensors, home / f"{name}.safetensors")
        return {name: home / f"{name}.safetensors" for name in (*parts, "whole")}

    def separate(self, **others: Path) -> dict[str, Path]:
        """The settings that name the parts beside the transformer's file."""
        return {"llm": self.files["llm"], "vae": self.files["vae"], "tokenizer": self.folder, **others}

    def opened(self, base: Path, **settings: Any) -> Any:
        named = {name: str(value) for name, value in settings.items()}
        section = ModelSection(base=str(base), family=self.family, **named)
        return open_model(section, CaptionSection(llm_tokens=128), device=torch.device("cpu"), dtype=torch.float32)

    @cached_property
    def reference(self) -> Any:
        """The model of the folder, for tests that leave it as it is."""
        return self.opened(self.folder)

    @cached_property
    def wanted(self) -> Tensor:
        """What it predicts."""
        return predicted(self.reference)

    def loaded(self, part: str) -> Tensors:
        return load_file(self.folder / part / ("model.safetensors" if part == "text_encoder" else WEIGHTS))

    def wrong(self, base: Path, **named: Path) -> dict[str, str]:
        """What a check finds of the model's settings: code by field."""
        model = {"base": str(base), "family": self.family, **{name: str(path) for name, path in named.items()}}
        config = parse_config({"model": model, "datasets": [{"path": str(self.home)}]}, base=None, place="test")
        return {finding.field: finding.code for finding in check_config(config) if finding.field.startswith("model.")}


def noise(count: int = 1, size: tuple[int, int] = (8, 12), seed: int = 0) -> Tensor:
    return torch.randn(count, 16, *size, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def predicted(model: Any) -> Tensor:
    found: Tensor = model.predict(noise(), torch.tensor([837.2]), model.encode_text(model.tokenize(TEXTS[:1], 64)))
    return found


class ZImage(RowModel):
    family = "zimage"
    prefixes = {"transformer": "model.diffusion_model.", "llm": "text_encoders.qwen3_4b.transformer.", "vae": "vae."}
    gap = "context_refiner.0.feed_forward.w2.weight"
    stranger = ("siglip_pad_token", (1, 48), "Omni")
    told = ("cap_embedder.0.weight", "cap_embedder.1.weight")
    sizes = ((8, 12), (16, 16))  # one whose tokens must be filled up, and one whose need not
    negative = ""
    learner = "layers.0.attention.to_q.weight"
    slot = ("SINGLE12", "layers.12.attention.to_q")

    def write(self, folder: Path) -> Path:
        return write_zimage_model(folder)

    def parts(self) -> dict[str, Tensors]:
        llm = {f"model.{name}": tensor for name, tensor in self.loaded("text_encoder").items()}
        transformer = zimage_original(self.loaded("transformer"), MICRO.blocks, MICRO.refiners)
        return {"transformer": transformer, "llm": llm, "vae": self.loaded("vae")}

    @cached_property
    def pipeline(self) -> Any:
        return ZImagePipeline.from_pretrained(self.folder, local_files_only=True)

    def states(self, texts: list[str]) -> list[Tensor]:
        found, _none = self.pipeline.encode_prompt(
            list(texts), do_classifier_free_guidance=False, max_sequence_length=128
        )
        return list(found)

    def theirs(self, latents: Tensor, timesteps: Tensor, texts: list[str]) -> Tensor:
        images = list(latents.unsqueeze(2).unbind())
        found = self.pipeline.transformer(images, (1000 - timesteps) / 1000, self.states(texts), return_dict=False)[0]
        return -torch.stack(found).squeeze(2)

    def drawn(self, start: Tensor, guidance: float) -> Tensor:
        found: Tensor = self.pipeline(
            TEXTS[0], width=96, height=64, num_inference_steps=3, guidance_scale=guidance - 1, latents=start,
            output_type="latent", max_sequence_length=128,
        ).images  # fmt: skip
        return found


class Qwen(RowModel):
    family = "qwen"
    prefixes = {"transformer": "model.diffusion_model.", "llm": "text_encoders.qwen25_7b.transformer.", "vae": "vae."}
    gap = "transformer_blocks.1.txt_mod.1.bias"
    stranger = ("time_text_embed.addition_t_embedding.weight", (2, 64), "reads pictures")
    told = ("txt_in.weight", "txt_norm.weight")
    sizes = ((8, 12),)
    negative = "blurred"
    learner = "transformer_blocks.0.attn.add_k_proj.weight"
    slot = ("DOUBLE59", "transformer_blocks.59.attn.to_q")

    def write(self, folder: Path) -> Path:
        return write_qwen_model(folder)

    def parts(self) -> dict[str, Tensors]:
        vae = wan(self.loaded("vae"))
        return {"transformer": self.loaded("transformer"), "llm": self.loaded("text_encoder"), "vae": vae}

    @cached_property
    def pipeline(self) -> Any:
        return QwenImagePipeline.from_pretrained(self.folder, local_files_only=True)

    def states(self, texts: list[str]) -> list[Tensor]:
        states, seen = self.pipeline.encode_prompt(list(texts))
        assert states.shape[1] == int(seen.sum(1).max())
        return [row[: int(own.sum())] for row, own in zip(states, seen, strict=True)]

    def theirs(self, latents: Tensor, timesteps: Tensor, texts: list[str]) -> Tensor:
        states, seen = self.pipeline.encode_prompt(list(texts))
        (count, _channels, height, width), pipeline = latents.shape, self.pipeline
        found = pipeline.transformer(
            hidden_states=pipeline._pack_latents(latents, count, 16, height, width), timestep=timesteps / 1000,
            encoder_hidden_states=states, encoder_hidden_states_mask=seen,
            img_shapes=[[(1, height // 2, width // 2)]] * count, return_dict=False,
        )[0]  # fmt: skip
        unpacked: Tensor = pipeline._unpack_latents(found, height * 8, width * 8, 8)
        return unpacked[:, :, 0]

    def drawn(self, start: Tensor, guidance: float) -> Tensor:
        """What is followed is as long as what the prompt alone gives. The last level is 0.02."""
        pipeline = self.pipeline
        found = pipeline(
            TEXTS[0], negative_prompt=self.negative, width=96, height=64, num_inference_steps=3,
            true_cfg_scale=guidance, latents=pipeline._pack_latents(start, 1, 16, 8, 12), output_type="latent",
        ).images  # fmt: skip
        unpacked: Tensor = pipeline._unpack_latents(found, 64, 96, 8)
        return unpacked[:, :, 0]


def zimage_original(tensors: Tensors, blocks: int, refiners: int) -> Tensors:
    """A transformer's tensors in ComfyUI's layout: put together from the rows of diffusers'."""
    found = {}
    for name in original_names(blocks, refiners):
        path, _dot, kind = name.rpartition(".")
        if name in TOKENS or path in OUTER:
            found[name] = tensors[name if name in TOKENS else f"{OUTER[path]}.{kind}"]
        else:
            found[name] = torch.cat([tensors[f"{piece.path}.{kind}"] for piece in ORIGINAL.layer_of(path)])
    return found


def wan(tensors: Tensors) -> Tensors:
    """Qwen-Image's VAE in the names of ComfyUI's file: those which become the ones it has."""
    levels = [f"{half}.{kind}.{number}" for half, kind in (("encoder", "downsamples"), ("decoder", "upsamples"))
              for number in range(15)]  # fmt: skip
    layers = [f"residual.{place}" for place in (0, 2, 3, 6)] + ["shortcut", "resample.1", "time_conv"]
    paths = [f"{level}.{layer}" for level in levels for layer in layers]
    for half in ("encoder", "decoder"):
        paths += [f"{half}.{path}" for path in ("conv1", "head.0", "head.2")]
        paths += [f"{half}.middle.{place}.{layer}" for place in (0, 2) for layer in layers]
        paths += [f"{half}.middle.1.{layer}" for layer in ("norm", "to_qkv", "proj")]
    names = [f"{path}.{kind}" for path in (*paths, "conv1", "conv2") for kind in ("weight", "bias", "gamma")]
    found = {name: tensors[vae_name(name)] for name in names if vae_name(name) in tensors}
    assert len(found) == len(tensors)
    return found
