"""The family that follows from the base model, and the sizes that follow from the family. Reads headers alone."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from lora_tui.config.paths import is_hub_name
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.families import FAMILIES, facts_for

SAMPLE_SETTINGS = {
    "flux": ("euler", 3.5),
    "flux2": ("euler", 4.0),
    "sd3": ("euler", 4.5),
    "chroma": ("euler", 4.0),
    "zimage": ("euler", 4.0),
    "qwen": ("euler", 4.0),
}
"""Sampler and guidance that are usual where they are others than Euler a and 7."""
LEAST_SAMPLE_SIDE = 64
T5_TOKENS = {"sd3": 256}
"""Tokens of T5 that a family learned with, where they are others than 512."""


#: What names of models on the hub say of their family; the first that fits holds.
NAMES = (
    ("flux2", r"flux[.-]?2.*klein"),
    ("", r"flux[.-]?2|refiner"),
    ("chroma", r"chroma"),
    ("zimage", r"z-?image"),
    ("", r"qwen-?image-?(edit|layered|2[.]\d)"),
    ("qwen", r"qwen-?image"),
    ("flux", r"flux"),
    ("sd3", r"stable-diffusion-3|sd-?3"),
    ("sdxl", r"(^|[^a-z])(sd)?xl([^a-z]|$)|sdxl|illustrious|noobai|pony"),
    ("sd2", r"stable-diffusion-2|sd-?2"),
    ("sd15", r"stable-diffusion-v?1|sd-?v?1[.-]?5"),
)


def sample_settings(family: str) -> tuple[Any, float]:
    """Sampler and guidance that are usual for samples of ``family``."""
    return SAMPLE_SETTINGS.get(family, ("euler_a", 7.0))


def usual_sample(config: Config) -> dict[str, Any]:
    """Size, sampler and guidance that a new sample has, by the names of the schema: the family's own, drawn at the
    resolution of training."""
    sampler, guidance = sample_settings(config.model.family)
    side = _sample_side(config.model.family, config.data.resolution)
    return {"width": side, "height": side, "sampler": sampler, "guidance": guidance}


def _sample_side(family: str, resolution: int) -> int:
    """The side of a square sample at ``resolution``, px: what the family can draw."""
    multiple = facts_for(family).size_multiple
    return max(resolution - resolution % multiple, LEAST_SAMPLE_SIDE)


def with_samples_at_resolution(config: Config, before: int, *, own: Collection[int] = ()) -> Config:
    """``config`` with samples at its resolution that were at the one ``before``, but for a person's ``own``."""
    was, now = (_sample_side(config.model.family, resolution) for resolution in (before, config.data.resolution))
    config = config.model_copy(deep=True)
    for number, sample in enumerate(config.samples):
        if (sample.width, sample.height) == (was, was) and number not in own:
            sample.width = sample.height = now
    return config


def title_of(family: str) -> str:
    """The name of a family, or its identifier for one that is not trained here."""
    return facts_for(family).title if family in FAMILIES else family


def family_of(base: str) -> str:
    """The family of the model at ``base``, of those that are trained here; empty where it cannot be told.

    A model on the hub is told by its files where the cache has them, else by the words in its name.
    """
    from lora_tui.families.hub import local
    from lora_tui.weights.header.models import identify_model

    path = local(base)
    if path is None:
        return family_by_name(base) if is_hub_name(base) else ""
    try:
        family = identify_model(path).family
    except (UserError, OSError):
        return ""
    return family if family in FAMILIES else ""


def family_by_name(name: str) -> str:
    """The family that the words in a name speak of; empty where they speak of none."""
    return next((family for family, words in NAMES if re.search(words, name.lower())), "")


def with_family_of_base(config: Config) -> Config:
    """``config`` for the family that its base model is of; the same object where that changes nothing."""
    family = family_of(config.model.base)
    return with_family(config, family) if family else config


def with_family(config: Config, family: str) -> Config:
    """``config`` for ``family``, at its resolution where it was at the usual one before; buckets and samples follow,
    and sampler and guidance of samples where they were the usual ones."""
    if family == config.model.family:
        return config
    came = config.model.family
    before, now = facts_for(config.model.family).resolution, facts_for(family).resolution
    config = config.model_copy(deep=True)
    config.model.family = family  # type: ignore[assignment]
    data = config.data
    if data.resolution == before:
        data.resolution = now
        if (data.bucket_min, data.bucket_max) == (before // 2, before * 2):
            data.bucket_min, data.bucket_max = now // 2, now * 2
    if config.captions.t5_tokens == T5_TOKENS.get(came, 512):
        config.captions.t5_tokens = T5_TOKENS.get(family, 512)  # type: ignore[assignment]
    usual = {family: sample_settings(family) for family in (came, family)}
    for sample in config.samples:
        if (sample.sampler, sample.guidance) == usual[came]:
            sample.sampler, sample.guidance = usual[family]
        if (sample.width, sample.height) == (before, before):
            sample.width = sample.height = now
    return config
