"""Bringing a base model in line with how a run makes do with its memory."""

from __future__ import annotations

import re
from dataclasses import replace

import torch

from lora_tui.config.estimate import storage_of
from lora_tui.config.schema import Config
from lora_tui.families.protocol import Model, Releasable
from lora_tui.runs.memory_policy import Policy
from lora_tui.trainer.memory.ladder import Ladder
from lora_tui.trainer.memory.rungs import Scene
from lora_tui.trainer.memory.shortage import has_own_memory

_BLOCK = re.compile(r"(?:.*?transformer_blocks|layers)\.\d+(?=\.)")


def fit(model: Model, ladder: Ladder, config: Config) -> None:
    """Have ``model``, of which nothing is loaded yet, follow the policies of ``ladder``."""
    ladder.scene = scene_of(model, config, ladder.device)
    base = replace(storage_of(config.memory), channels_last=config.lays_channels_last)
    never: list[Releasable] = ["frozen_text"]  # of the text encoders, those that do not learn
    if not config.trains_text:
        never.append("text_encoders")

    def bring(policy: Policy) -> None:
        aside: tuple[Releasable, ...] = ("vae",) if policy.vae_aside else ()
        model.put_aside(*aside, *(never if policy.text_aside else ()))
        model.keep(policy.storage(base))
        model.tiled = policy.tiled

    bring(ladder.policy)
    ladder.changed.append(bring)


def scene_of(model: Model, config: Config, device: torch.device) -> Scene:
    """What the rungs of a run with ``model`` depend on, as long as no data is planned."""
    elsewhere = has_own_memory(device)
    found = {match[0] for target in model.targets(text_encoder=False) if (match := _BLOCK.match(target.path))}
    return Scene(
        blocks=len(found) if elsewhere else 0,
        parts_move=elsewhere,
        encodes=not config.memory.cache_latents,
        reads_together=not model.masks_text,
        may_pack=config.memory.when_full == "pack" and not config.network.decomposed,
    )
