"""Draws pictures with a micro model and has the judge look at them.

``python -m tools.micro.examine [FOLDER]`` examines the model that ships, or the one in ``FOLDER``, on 200 captions that
it was never trained on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from lora_tui.demo.world.captions import prose_caption, tag_caption
from lora_tui.demo.world.judge import share_right
from lora_tui.demo.world.scene import Scene, examination
from lora_tui.keyed import keyed_random
from tools.micro.layout import SHIPPED, SIDE, make_scheduler
from tools.micro.pictures import to_arrays
from tools.micro.tokens import Words

SAMPLER_STEPS = 20
GUIDANCE = 2.0
AT_ONCE = 20


def held_out(count: int, seed: int = 0) -> tuple[list[Scene], list[str]]:
    """``count`` scenes that a judge can measure, and their complete captions: tags and prose in turn."""
    scenes = examination(count, keyed_random("micro", "examination", seed))
    return scenes, [
        tag_caption(scene) if number % 4 < 2 else prose_caption(scene) for number, scene in enumerate(scenes)
    ]


@torch.no_grad()
def draw(
    modules: dict[str, Any],
    words: Words,
    prompts: Sequence[str],
    *,
    side: int,
    seed: int = 0,
    guidance: float = GUIDANCE,
) -> list[Image.Image]:
    """Pictures of ``prompts``, ``side`` px: DDIM, 20 steps, noise by the number of the prompt."""
    scheduler = make_scheduler()
    scheduler.set_timesteps(SAMPLER_STEPS)
    unet, vae, text_encoder = modules["unet"], modules["vae"], modules["text_encoder"]
    empty = text_encoder(words([""]))[0]
    pictures = []
    for start in range(0, len(prompts), AT_ONCE):
        part = list(prompts[start : start + AT_ONCE])
        text = torch.cat([text_encoder(words(part))[0], empty.expand(len(part), -1, -1)])
        generators = [torch.Generator().manual_seed(seed * 100_003 + start + n) for n in range(len(part))]
        latents = torch.cat([torch.randn(1, 4, side // 8, side // 8, generator=generator) for generator in generators])
        for time in scheduler.timesteps:
            told, untold = unet(torch.cat([latents, latents]), time, text).sample.chunk(2)
            latents = scheduler.step(untold + guidance * (told - untold), time, latents).prev_sample
        shown = vae.decode(latents / vae.config.scaling_factor).sample
        pictures += [Image.fromarray(array) for array in to_arrays(shown)]
    return pictures


def examine(
    modules: dict[str, Any],
    words: Words,
    *,
    side: int,
    count: int = 200,
    seed: int = 0,
    guidance: float = GUIDANCE,
) -> dict[str, float]:
    """The share of ``count`` held-out captions drawn right, attribute by attribute."""
    scenes, captions = held_out(count)
    return share_right(scenes, draw(modules, words, captions, side=side, seed=seed, guidance=guidance))


def main() -> int:
    """Print the figures of a finished model."""
    from tools.micro.package import read_pipeline

    parser = argparse.ArgumentParser(prog="python -m tools.micro.examine", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=SHIPPED)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--guidance", type=float, default=GUIDANCE)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    modules = read_pipeline(options.folder)
    print(json.dumps(examine(modules, modules["words"], side=SIDE, count=options.count, guidance=options.guidance)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
