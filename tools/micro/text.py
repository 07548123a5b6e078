"""The stage that teaches the text encoder what captions tell, so that the UNet need not find it out by drawing."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lora_tui.demo.world.captions import prose_caption, tag_caption
from lora_tui.demo.world.scene import COLOURS, PATTERNS, PLACES, SHAPES, SIZES, Scene, sample_scene
from lora_tui.keyed import keyed_random
from tools.micro.layout import TEXT_WIDTH, make_text_encoder
from tools.micro.stage import Stage
from tools.micro.tokens import Words

BATCH = 96
UNTOLD = -100
"""What is not asked: the second subject of a scene that has one."""
SUBJECT_CHOICES = {
    "shape": SHAPES,
    "colour": tuple(COLOURS),
    "size": tuple(SIZES),
    "place": tuple(PLACES),
    "eyes": (False, True),
}
SCENE_CHOICES = {"pattern": PATTERNS, "first": tuple(COLOURS), "second": tuple(COLOURS)}


def caption(scene: Scene, chance: random.Random) -> str:
    """Tags or prose, as chance will."""
    return tag_caption(scene, chance) if chance.random() < 0.5 else prose_caption(scene, chance)


class Questions(nn.Module):
    """Asks a text for each attribute: one learned query each, attending to all tokens as the UNet does."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [len(choices) for choices in SUBJECT_CHOICES.values()] * 2
        sizes += [len(choices) for choices in SCENE_CHOICES.values()]
        self.queries = nn.Parameter(torch.randn(len(sizes), TEXT_WIDTH) * 0.1)
        self.attention = nn.MultiheadAttention(TEXT_WIDTH, 4, batch_first=True)
        self.answers = nn.ModuleList(nn.Linear(TEXT_WIDTH, size) for size in sizes)

    def forward(self, tokens: Tensor) -> list[Tensor]:
        """Scores (n, choices) for each question, from hidden states (n, tokens, width)."""
        queries = self.queries.expand(len(tokens), -1, -1)
        found = self.attention(queries, tokens, tokens, need_weights=False)[0]
        return [answer(found[:, number]) for number, answer in enumerate(self.answers)]


def truth(scenes: list[Scene]) -> list[Tensor]:
    """The right answers to :class:`Questions`, (n,) int64 each."""
    columns: list[list[int]] = []
    for number in range(2):
        for name, choices in SUBJECT_CHOICES.items():
            columns.append(
                [
                    choices.index(getattr(scene.subjects[number], name)) if number < len(scene.subjects) else UNTOLD
                    for scene in scenes
                ]
            )
    for name, choices in SCENE_CHOICES.items():
        columns.append([choices.index(getattr(scene, name)) for scene in scenes])
    return [torch.tensor(column) for column in columns]


class TextStage(Stage):
    """Captions in, attributes out."""

    name = "text"
    rate = 3e-3
    average = 0.99

    def __init__(self, folder: Path, words: Words, *, steps: int, seed: int, part: int = 1) -> None:
        torch.manual_seed(seed)
        modules = {"text_encoder": make_text_encoder(words.count).train(), "questions": Questions()}
        super().__init__(folder, modules, steps=steps, seed=seed)
        self._words, self._batch = words, BATCH // part

    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        chance = self.chance(step, "captions")
        scenes = [sample_scene(chance) for _ in range(self._batch)]
        ids = self._words([caption(scene, chance) for scene in scenes])
        answers = self.modules["questions"](self.modules["text_encoder"](ids)[0])
        pairs = list(zip(answers, truth(scenes), strict=True))
        loss = sum(cross_entropy(given, wanted, ignore_index=UNTOLD) for given, wanted in pairs) / len(pairs)
        return loss, {}

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """The share of right answers to complete captions that were never seen."""
        chance = keyed_random("micro", "text", "held out", self.seed)
        scenes = [sample_scene(chance) for _ in range(500)]
        captions = [tag_caption(scene) if number % 2 else prose_caption(scene) for number, scene in enumerate(scenes)]
        answers = self.averages["questions"](self.averages["text_encoder"](self._words(captions))[0])
        names = [*SUBJECT_CHOICES, *(f"{name} of the second" for name in SUBJECT_CHOICES), *SCENE_CHOICES]
        found = {}
        for name, given, wanted in zip(names, answers, truth(scenes), strict=True):
            asked = wanted != UNTOLD
            if name == "second":  # a plain background has no second colour
                asked &= torch.tensor([scene.pattern != "plain" for scene in scenes])
            found[f"right {name}"] = (given.argmax(1) == wanted)[asked].float().mean().item()
        return found
