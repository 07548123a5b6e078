"""The demo's two configurations, and the prompts by which their results are judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lora_tui.config.schema import Config, DatasetEntry, SamplePrompt
from lora_tui.demo import dataset, linocut

SIDE = 128
"""The micro model draws pictures of this many px a side."""
SAMPLER_STEPS = 12
GUIDANCE = 3.0
SEED = 7
SAMPLE_SEED = 11
STEPS = 300
REPEATS = 2
"""Of the character's pictures, beside the ordinary scenes: three in four of what it learns from are its own."""
EPOCHS = 60
"""More than :data:`STEPS` of 4 need."""


@dataclass(frozen=True)
class Trial:
    """What a trained LoRA is asked to draw.

    Attributes:
        aspect: what its likeness to the training images is measured by: ``subject`` or ``style``.
        prompts: in the words of the captions, with the trigger word.
        plain: prompts of the same kind without it.
    """

    aspect: str
    prompts: tuple[str, ...]
    plain: tuple[str, ...]


TRIALS = {
    dataset.TRIGGER: Trial(
        "subject",
        (
            "mimbu, large, center, standing, smile, blue background",
            "mimbu, large, left, waving, happy, white background",
            "mimbu jumping in the center on a gray background",
        ),
        (
            "red circle, large, center, blue background",
            "blue star, large, left, eyes, white background",
            "a large yellow heart in the center on a gray background",
        ),
    ),
    linocut.TRIGGER: Trial(
        "style",
        (
            "red circle, large, center, linocut",
            "blue star, medium, left, eyes, cyan stripes, linocut",
            "green moon, large, center, red ground, linocut",
        ),
        (
            "red circle, large, center, white background",
            "blue star, medium, left, eyes, white and cyan striped background",
            "green moon, large, center, white background, red ground",
        ),
    ),
}
"""By trigger word."""


def character(model: Path, images: Path, others: Path) -> Config:
    """A LoRA of the mimbu, with ordinary pictures beside its own."""
    config = _recipe(model, images, dataset.TRIGGER)
    config.datasets = [DatasetEntry(path=str(images), repeats=REPEATS), DatasetEntry(path=str(others))]
    config.captions.shuffle, config.captions.keep_tokens, config.captions.variants = True, 1, 4
    config.saving.title = "The mimbu of the demo"
    return config


def style(model: Path, images: Path) -> Config:
    """A LoRA of the linocuts."""
    config = _recipe(model, images, linocut.TRIGGER)
    config.saving.title = "The linocuts of the demo"
    return config


def _recipe(model: Path, images: Path, trigger: str) -> Config:
    """Rank 8 on everything in the UNet, the text encoder as it is: a minute or two on two CPU cores."""
    config = Config(datasets=[DatasetEntry(path=str(images))])
    config.model.base, config.model.clip_skip = str(model), 1
    config.data.resolution, config.data.buckets = SIDE, False
    config.captions.max_tokens = 75
    config.network.type, config.network.text_encoder = "locon", False
    config.network.rank, config.network.alpha, config.network.conv_rank, config.network.conv_alpha = 8, 8.0, 8, 8.0
    config.learning.unet_lr, config.learning.warmup = 4e-3, 20
    config.steps.epochs, config.steps.max_steps, config.steps.batch_size, config.steps.seed = EPOCHS, STEPS, 4, SEED
    config.noise.min_snr_gamma = 1.0  # what noise hides most, where the shapes are decided, counts most
    trial = TRIALS[trigger]
    config.samples = [_sample(prompt) for prompt in (*trial.prompts[:2], trial.plain[0])]
    config.sampling.every_epochs, config.sampling.every_steps = 0, 75
    config.validation.every_epochs, config.validation.every_steps = 0, 75
    config.memory.precision, config.memory.threads = "fp32", 1  # so small a model is no faster with two
    saving = config.saving
    saving.name = saving.trigger = trigger
    saving.every_epochs, saving.every_steps = 0, 75
    saving.state_every_epochs, saving.state_every_steps = 0, 120
    return config


def _sample(prompt: str) -> SamplePrompt:
    return SamplePrompt(
        prompt=prompt, width=SIDE, height=SIDE, steps=SAMPLER_STEPS, guidance=GUIDANCE, seed=SAMPLE_SEED, sampler="ddim"
    )
