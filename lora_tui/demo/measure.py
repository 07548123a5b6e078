"""``python -m lora_tui.demo.measure RUN LORA``: draw with and without a demo's LoRA, compare, print one line of JSON.

A process of its own, because it needs torch; :mod:`lora_tui.demo.likeness` starts it and reads what it prints.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageChops, ImageStat

from lora_tui.config.load import load_config
from lora_tui.config.schema import Config, SamplePrompt
from lora_tui.dataset.load import open_upright
from lora_tui.dataset.scan import scan_datasets
from lora_tui.demo.recipe import TRIALS, Trial
from lora_tui.demo.world.draw import draw_scene
from lora_tui.demo.world.scene import sample_scene
from lora_tui.errors import UserError
from lora_tui.families import open_model
from lora_tui.grids.sheet import draw_sheet
from lora_tui.keyed import keyed_random
from lora_tui.orphans import end_with_parent
from lora_tui.sampling.lora import AppliedLora, apply_lora
from lora_tui.sampling.renderer import Renderer, RenderRequest
from lora_tui.scores.likeness import Likeness, likeness_to
from lora_tui.text import _, set_language

SEEDS = (11, 12, 13, 14, 15)
ORDINARY = 96
"""Pictures of the world that make the scale's zero."""
STRENGTHS = (0.0, 1.0)
CPU = torch.device("cpu")


class Painter:
    """Draws prompts with one LoRA after another at any strength, on the CPU in float32."""

    def __init__(self, config: Config) -> None:
        """Open the run's base model.

        Raises:
            UserError: it cannot be used.
        """
        self._model = open_model(config.model, config.captions, device=CPU, dtype=torch.float32)
        self._renderer = Renderer(self._model)
        self._lora: AppliedLora | None = None

    def wear(self, lora: Path) -> None:
        """Take this LoRA instead of the one before.

        Raises:
            UserError: it does not fit the base model.
        """
        if self._lora is not None:
            self._lora.remove()
        self._lora = apply_lora(self._model, lora)

    def draw(self, prompt: SamplePrompt, strength: float) -> Image.Image:
        """One picture; without a LoRA the strength changes nothing."""
        if self._lora is not None:
            self._lora.strength = strength
        with torch.no_grad():
            positive, negative = (
                self._model.encode_text(self._model.tokenize([text], 1)) for text in (prompt.prompt, prompt.negative)
            )
        latents = self._renderer.latents(RenderRequest(prompt, positive, negative), lambda _done, _total: None)
        return self._renderer.image(latents)


@dataclass(frozen=True)
class Drawn:
    """Pictures of some prompts: ``pictures[strength][seed][prompt]``."""

    prompts: tuple[str, ...]
    pictures: dict[float, list[list[Image.Image]]]

    def told(self, likeness: Likeness) -> dict[str, Any]:
        """Likeness by seed at both strengths (means over the prompts), and how much the pictures differ."""
        before, after = (self.pictures[strength] for strength in STRENGTHS)
        means = [[_mean(likeness.of(row)) for row in rows] for rows in (before, after)]
        pairs = [(one, other) for a, b in zip(before, after, strict=True) for one, other in zip(a, b, strict=True)]
        return {"at_0": means[0], "at_1": means[1], "pixels": _mean([difference(*pair) for pair in pairs])}


def draw_trial(painter: Painter, config: Config, prompts: Sequence[str]) -> Drawn:
    """Every prompt with every seed at both strengths, with the settings of the run's own samples."""
    usual = config.samples[0]
    found: dict[float, list[list[Image.Image]]] = {}
    for strength in STRENGTHS:
        found[strength] = [
            [painter.draw(usual.model_copy(update={"prompt": text, "seed": seed}), strength) for text in prompts]
            for seed in SEEDS
        ]
    return Drawn(tuple(prompts), found)


def drawn_apart(config: Config, lora: Path, prompts: Mapping[str, Sequence[str]]) -> dict[str, Drawn]:
    """:func:`draw_trial` for each kind of prompts, in a process with one thread each: two cores are both in use."""
    alone = get_context("spawn")
    with ProcessPoolExecutor(len(prompts), mp_context=alone, initializer=end_with_parent) as pool:
        waiting = {name: pool.submit(_draw_alone, config, lora, tuple(texts)) for name, texts in prompts.items()}
        return {name: future.result() for name, future in waiting.items()}


def _draw_alone(config: Config, lora: Path, prompts: tuple[str, ...]) -> Drawn:
    torch.set_num_threads(1)
    painter = Painter(config)
    painter.wear(lora)
    return draw_trial(painter, config, prompts)


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean absolute difference of two pictures of one size, 0 to 1."""
    return _mean(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 255


def ordinary_pictures(count: int = ORDINARY) -> list[Image.Image]:
    """Pictures of the world, always the same."""
    found = []
    for number in range(count):
        chance = keyed_random("demo ordinary", number)
        found.append(draw_scene(sample_scene(chance), 64, chance))
    return found


def trial_of(config: Config) -> Trial:
    """The prompts for what this configuration trains.

    Raises:
        UserError: it is none of the demo's.
    """
    trial = TRIALS.get(config.saving.trigger)
    if trial is None or not config.samples:
        raise UserError(
            _("the run is none of the demo's."),
            place="saving.trigger",
            remedy=_("Train a configuration of the demo."),
            code="demo.likeness",
        )
    return trial


def measured(run: Path, lora: Path) -> dict[str, Any]:
    """Everything that is printed; writes the sheet of the pictures into the run folder."""
    begun = time.monotonic()
    config = load_config(run / "config.toml")
    trial = trial_of(config)
    references = [open_upright(image.path) for image in scan_datasets(config).images if image.dataset == 0]
    likeness = likeness_to(references, ordinary_pictures(), aspect="style" if trial.aspect == "style" else "subject")
    drawn = drawn_apart(config, lora, {"trigger": trial.prompts, "plain": trial.plain})
    sheet = run / "likeness.png"
    write_sheet(sheet, list(drawn.values()))
    count = sum(len(STRENGTHS) * len(SEEDS) * len(one.prompts) for one in drawn.values())
    told = {name: one.told(likeness) for name, one in drawn.items()}
    seconds = round(time.monotonic() - begun, 1)
    return {"aspect": trial.aspect, **told, "pictures": count, "seconds": seconds, "sheet": str(sheet)}


def write_sheet(path: Path, drawn: Sequence[Drawn]) -> None:
    """One row a prompt: strength and seed above, the first seeds without the LoRA, then the same with it."""
    shown = range(2)
    columns = [f"x {strength:g}   # {SEEDS[seed]}" for strength in STRENGTHS for seed in shown]
    rows, pictures = [], []
    for one in drawn:
        for number, prompt in enumerate(one.prompts):
            rows.append(prompt)
            pictures.append([one.pictures[strength][seed][number] for strength in STRENGTHS for seed in shown])
    draw_sheet(pictures, rows=rows, columns=columns).save(path)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def main() -> int:
    """Measure, and print the result as the last line."""
    parser = argparse.ArgumentParser(prog="python -m lora_tui.demo.measure")
    parser.add_argument("run", type=Path)
    parser.add_argument("lora", type=Path)
    options = parser.parse_args()
    set_language()
    try:
        print(json.dumps(measured(options.run, options.lora)))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
