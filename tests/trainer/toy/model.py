"""See :class:`lora_tui.families.protocol.Model`. Weights are drawn, and kept in the file that the settings name."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.families.beneath import Beneath
from lora_tui.families.protocol import Framing, Releasable, Storage, TargetModule, Tensors, TextPart
from lora_tui.families.state_dicts import weights_id
from toy.facts import FACTS, WIDTH

PATCH = 2  # latent cells on each side of a token
TOKEN = FACTS.latent_channels * PATCH**2
WORDS = 97


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, ids: Tensor) -> Tensor:
        return self.out(self.words(ids))


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.take, self.give = nn.Linear(TOKEN, WIDTH), nn.Linear(WIDTH, TOKEN)
        self.told = nn.Linear(6 + 1 + 1 + WIDTH, WIDTH)
        self.blocks = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))

    def forward(self, tokens: Tensor, told: Tensor, text: Tensor) -> Tensor:
        state = self.take(tokens) + self.told(told)[:, None]
        for block in self.blocks:
            both = torch.cat([text.to(state), state], dim=1)
            state = state + block(torch.softmax(state @ both.mT / WIDTH**0.5, dim=-1) @ both)
        return self.give(state)


class ToyModel:
    facts = FACTS
    prediction = "velocity"
    embeds_guidance = True
    text_parts = (TextPart(("ids", "ids_2")),)
    masks_text = False

    def __init__(
        self, section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.device, self.dtype = device, dtype
        self.storage = Storage()
        self.beneath = Beneath()
        self.file = Path(section.base)
        self._most = captions.max_tokens
        self._encoders: dict[str, nn.Module] = {}
        self._transformer: nn.Module | None = None

    def _drawn(self, kind: type[nn.Module], name: str) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(zlib.crc32(self.file.read_bytes() + name.encode()))
            return kind().requires_grad_(False).to(self.device, self.dtype)

    @property
    def transformer(self) -> nn.Module:
        if self._transformer is None:
            self._transformer = self._drawn(Transformer, "transformer")
        return self._transformer

    @property
    def encoders(self) -> dict[str, nn.Module]:
        if not self._encoders:
            self._encoders = {part: self._drawn(Encoder, part) for part in ("text_encoder", "text_encoder_2")}
        return self._encoders

    def adapted_modules(self, *, text_encoder: bool) -> dict[str, nn.Module]:
        return {"transformer": self.transformer, **(self.encoders if text_encoder else {})}

    def targets(self, *, text_encoder: bool, convolutions: bool = False) -> tuple[TargetModule, ...]:
        return FACTS.targets(text_encoder=text_encoder)

    def weight_files(self) -> tuple[Path, ...]:
        return (self.file,)

    def enable_checkpointing(self, *, text_encoder: bool, share: float = 1.0) -> None:
        raise NotImplementedError

    def keep(self, storage: Storage) -> None:
        self.storage = storage

    def put_aside(self, *parts: Releasable) -> None:
        """It has no memory but the computer's."""

    def loaded(self) -> list[nn.Module]:
        return [*([self._transformer] if self._transformer else []), *self._encoders.values()]

    def release(self, *parts: Releasable) -> None:
        if "text_encoders" in parts:
            self._encoders = {}
        if "network" in parts:
            self._transformer = None

    def park(self) -> None:
        for module in self.loaded():
            module.to("cpu")

    def unpark(self) -> None:
        for module in self.loaded():
            module.to(self.device)

    def token_count(self, text: str) -> int:
        return len(text.split())

    @property
    def token_limit(self) -> tuple[int, str]:
        return self._most, "captions.max_tokens"

    def text_length(self, texts: Iterable[str]) -> int:
        return min(max((self.token_count(text) for text in texts), default=1) or 1, self._most)

    def tokenize(self, texts: Sequence[str], length: int) -> Tensors:
        rows = torch.zeros(len(texts), length, dtype=torch.long)
        for row, text in zip(rows, texts, strict=True):
            for place, word in enumerate(text.split()[:length]):
                row[place] = 1 + zlib.crc32(word.encode()) % (WORDS - 1)
        return {"ids": rows, "ids_2": rows.flip(1)}

    def encode_text(self, tokens: Tensors) -> Tensors:
        first, second = (
            self.encoders[part](tokens[name].to(self.device, non_blocking=True))
            for part, name in (("text_encoder", "ids"), ("text_encoder_2", "ids_2"))
        )
        return {"text": torch.cat([first, second], dim=1), "pooled": first.mean(dim=1)}

    def text_identity(self, part: TextPart) -> str:
        return " ".join(weights_id(encoder) for encoder in self.encoders.values())

    def encode_image(self, pixels: Tensor, noise: Tensor) -> Tensor:
        small = torch.nn.functional.avg_pool2d(pixels.to(self.device).float(), FACTS.latent_factor)
        return small.repeat(1, 6, 1, 1)[:, :16] + 0.01 * noise.to(self.device)

    def decode_latents(self, latents: Tensor) -> Tensor:
        return (nn.functional.interpolate(latents[:, :3], scale_factor=FACTS.latent_factor) / 2 + 0.5).clamp(0, 1)

    def latent_identity(self) -> str:
        return "toy"

    def picture_conditioning(self, framings: Sequence[Framing], *, guidance: float | None = None) -> Tensors:
        sizes = [[*framing.original, *framing.corner, *framing.size] for framing in framings]
        strength = 1.0 if guidance is None else guidance
        return {"sizes": torch.tensor(sizes) / 1000, "guidance": torch.full((len(framings),), strength)}

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: Tensors) -> Tensor:
        tokens = nn.functional.pixel_unshuffle(noisy, PATCH)
        told = [conditioning["sizes"], conditioning["guidance"][:, None], timesteps[:, None] / 1000]
        told.append(conditioning["pooled"])
        state = torch.cat([entry.to(noisy.dtype) for entry in told], dim=1)
        found = self.transformer(tokens.flatten(2).mT, state, conditioning["text"])
        return nn.functional.pixel_shuffle(found.mT.unflatten(2, tokens.shape[2:]), PATCH)

    def scheduler_config(self) -> Mapping[str, Any]:
        return {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}

    def shift(self, width: int, height: int) -> float:
        return 1.0 + width * height / 64**2

    def guided(self, told: Tensor, untold: Tensor, strength: float) -> Tensor:
        return untold + strength * (told - untold)

    def drawing_shift(self, width: int, height: int, steps: int) -> float:
        return self.shift(width, height)


def open_model(
    section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
) -> ToyModel:
    return ToyModel(section, captions, device=device, dtype=dtype)
