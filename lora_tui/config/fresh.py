"""A new configuration for a project: its folders, its model, its trigger word, a preset for its purpose, prompts."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lora_tui.config.family import family_of, usual_sample, with_family, with_samples_at_resolution
from lora_tui.config.presets import SHIPPED, Preset, apply_preset, list_presets
from lora_tui.config.schema import TOLD_GUIDANCE, Config, DatasetEntry, SamplePrompt

if TYPE_CHECKING:
    from lora_tui.project import Project

NEGATIVE = "lowres, worst quality, low quality, blurry, watermark"
# What is drawn to see a trigger word at work, without words that any one subject would contradict.
_CONCRETE = ("{trigger}, simple background", "{trigger}, outdoors, day")
_GENERAL = ("{trigger}, portrait of a woman", "{trigger}, landscape, river, mountains")


def new_config(project: Project | None = None, presets: Sequence[Preset] = (), *, family: str = "") -> Config:
    """A configuration with defaults, then ``presets`` in order; without any, the one for the project's purpose.

    Its family is ``family``, else that of the project's base model, else that of the presets.

    Raises:
        UserError: a preset is for another family.
    """
    config = Config()
    chosen = list(presets)
    family = family or (family_of(project.base_model) if project is not None else "")
    family = family or (chosen[0].family if chosen else "")
    config = with_family(config, family) if family else config
    if project is not None:
        if not any(preset.kind == "purpose" for preset in chosen):
            chosen = [*preset_for(project.purpose, config.model.family), *chosen]
        config = _of_project(config, project)
    before = config.data.resolution
    for preset in chosen:
        config = apply_preset(config, preset)
    return with_samples_at_resolution(config, before)


def preset_for(purpose: str, family: str) -> tuple[Preset, ...]:
    """The preset that fits a project's purpose, none when there is none.

    Of a person's own presets only one that replaces a shipped one is taken unasked.
    """
    found = list_presets(family=family, purpose=purpose) if purpose else ()
    return tuple(preset for preset in found if not preset.own or (SHIPPED / f"{preset.name}.toml").exists())[:1]


def file_stem(name: str) -> str:
    """``name`` as the stem of a file: letters, digits, ``-``, ``_`` and dots within; ``lora`` when none is left."""
    kept = re.sub(r"[^\w.-]+", "-", name).strip("-.")
    return kept.encode()[:100].decode("utf-8", "ignore") or "lora"


def _of_project(config: Config, project: Project) -> Config:
    config = config.model_copy(deep=True)
    config.model.base = project.base_model
    config.datasets = [DatasetEntry(path=os.fspath(entry.path), repeats=entry.repeats) for entry in project.datasets]
    config.saving.name = file_stem(project.name)
    config.saving.trigger = project.trigger
    if project.trigger:
        negative = "" if config.model.family in TOLD_GUIDANCE else NEGATIVE
        usual = SamplePrompt(negative=negative, **usual_sample(config))
        prompts = _GENERAL if project.kind == "general" else _CONCRETE
        config.samples = [usual.model_copy(update={"prompt": text.format(trigger=project.trigger)}) for text in prompts]
    return config
