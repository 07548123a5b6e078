"""What a single file's tensors cannot tell of a model: heads, groups of norms, latent scale, tokenizer.

Every program takes the published model's for granted. A file that has others says so in its metadata under one key of
ours, so that a small model of the same topology is read from a single file as it is from a folder. Knows no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lora_tui.families.told import read_config
from lora_tui.families.unet.facts import UnetFacts
from lora_tui.families.unet.shape import shape_of_folder

KEY = "lora_tui.particulars"
TOKENIZER = Path(__file__).resolve().parents[2] / "assets" / "sd15" / "tokenizer"
"""CLIP's, which all of them use."""
TOKENIZER_FILES = ("vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json")
#: For each part the settings that a file may state: numbers, or one for each level.
SETTINGS: Mapping[str, tuple[str, ...]] = {
    "unet": ("attention_head_dim", "norm_num_groups"),
    "vae": ("norm_num_groups", "scaling_factor"),
    "text_encoder": ("num_attention_heads",),
    "text_encoder_2": ("num_attention_heads",),
}
GREATEST = 1 << 20
"""No setting is larger; the metadata are a stranger's."""
MOST_LEVELS = 8


@dataclass(frozen=True)
class Particulars:
    """What differs from the published model.

    Attributes:
        settings: by part, to be laid over the configuration that the tensors' shapes tell.
        tokenizer: texts of the tokenizer's files by name; empty for CLIP's own.
    """

    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tokenizer: Mapping[str, str] = field(default_factory=dict)

    def as_text(self) -> str:
        """The value of :data:`KEY`; empty when nothing differs."""
        if not self.settings and not self.tokenizer:
            return ""
        return json.dumps({"settings": self.settings, "tokenizer": self.tokenizer}, sort_keys=True)


def particulars_of_folder(facts: UnetFacts, folder: Path) -> Particulars:
    """What a single file of the diffusers model in ``folder`` has to state.

    Raises:
        OSError, ValueError, KeyError: a configuration file is missing or says something else.
    """
    shape = shape_of_folder(facts, folder)
    usual = {"unet": shape.unet_config(), "vae": shape.vae_config()}
    for encoder, text in zip(facts.encoders, shape.text, strict=True):
        usual[encoder.part] = text.config(encoder.activation)
    settings = {}
    for part in usual:
        names = SETTINGS[part]
        config = read_config(folder / part / "config.json")
        own = {name: config[name] for name in names if config.get(name, usual[part][name]) != usual[part][name]}
        if own:
            settings[part] = own
    return Particulars(settings, _own_tokenizer(folder / "tokenizer"))


def read_particulars(metadata: Mapping[str, str]) -> Particulars:
    """What a file's metadata state; whatever is not in the form that :meth:`Particulars.as_text` gives is left out."""
    try:
        stated = json.loads(metadata.get(KEY, "{}"))
    except (ValueError, RecursionError):
        return Particulars()
    if not isinstance(stated, dict):
        return Particulars()
    settings = {}
    for part, names in SETTINGS.items():
        given = _mapping(_mapping(stated.get("settings")).get(part))
        own = {name: given[name] for name in names if _is_setting(given.get(name))}
        if own:
            settings[part] = own
    texts = _mapping(stated.get("tokenizer"))
    tokenizer = {name: texts[name] for name in TOKENIZER_FILES if isinstance(texts.get(name), str)}
    return Particulars(settings, tokenizer if {"vocab.json", "merges.txt"} <= tokenizer.keys() else {})


def _own_tokenizer(folder: Path) -> dict[str, str]:
    texts = {name: (folder / name).read_text("utf-8") for name in TOKENIZER_FILES if (folder / name).is_file()}
    usual = (TOKENIZER / "vocab.json").read_text("utf-8")
    return texts if "vocab.json" in texts and json.loads(texts["vocab.json"]) != json.loads(usual) else {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_setting(value: object) -> bool:
    if isinstance(value, list):
        return 0 < len(value) <= MOST_LEVELS and all(_is_number(entry) for entry in value)
    return _is_number(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < GREATEST
