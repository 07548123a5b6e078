"""What a LoRA file says of itself, in lines for a person."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from lora_tui.text.formats import bytes_text
from lora_tui.text.plain import plain
from lora_tui.text.translate import N_, _, ngettext
from lora_tui.weights.header.loras import LoraInfo

SHOWN_TAGS = 8
TOLD = (
    ("ss_output_name", N_("name")),
    ("modelspec.title", N_("title")),
    ("modelspec.trigger_phrase", N_("trigger word")),
    ("ss_sd_model_name", N_("base model")),
    ("ss_steps", N_("steps")),
    ("ss_epoch", N_("epochs")),
    ("ss_num_train_images", N_("images")),
    ("ss_resolution", N_("resolution")),
    ("ss_optimizer", N_("optimizer")),
    ("ss_training_comment", N_("comment")),
    ("ss_dataset_source", N_("source of the images")),
    ("modelspec.license", N_("licence")),
)
"""Metadata that a person asks for first, and what we call them."""


def info_lines(info: LoraInfo) -> Iterator[tuple[str, str]]:
    """Title and value of each line, safe to show."""
    yield _("family"), info.family
    yield _("kind"), _("{kind}, {layout} names").format(kind=info.kind, layout=info.layout)
    yield _("rank"), spread(info.ranks) or "-"
    yield _("alpha"), spread({f"{a:g}": n for a, n in info.alphas.items()}) or _("not stated: acts as rank")
    if info.rank and info.alpha is not None:
        yield _("scale"), f"{info.alpha / info.rank:g}"
    yield (
        _("modules"),
        _("{modules}: {unet} image model, {text} text encoder").format(
            modules=info.modules, unet=info.unet_modules, text=info.text_encoder_modules
        ),
    )
    yield _("tensors"), _("{dtype}, file {size}").format(dtype=info.dtype, size=bytes_text(info.size))
    for key, title in TOLD:
        value = info.metadata.get(key, "")
        if value and value != "None":
            yield _(title), plain(value, limit=120)
    tags = _common_tags(info.metadata)
    if tags:
        yield _("tags"), plain(", ".join(tags), limit=120)
    entries = ngettext("{count} entry, shown by --metadata", "{count} entries, shown by --metadata", len(info.metadata))
    yield _("metadata"), entries.format(count=len(info.metadata))


def spread(values: Mapping[Any, int]) -> str:
    """One value as itself; several as ``16 (180), 8 (12)``."""
    if len(values) < 2:
        return "".join(str(value) for value in values)
    return ", ".join(f"{value} ({number})" for value, number in values.items())


def _common_tags(metadata: Mapping[str, str]) -> list[str]:
    """The commonest tags of the training set, from ``ss_tag_frequency`` (folder -> tag -> count)."""
    try:
        folders = json.loads(metadata.get("ss_tag_frequency", ""))
    except (ValueError, RecursionError):
        return []
    totals: Counter[str] = Counter()
    for tags in folders.values() if isinstance(folders, dict) else ():
        if isinstance(tags, dict):
            totals.update({tag.strip(): number for tag, number in tags.items() if isinstance(number, int)})
    return [tag for tag, _number in totals.most_common(SHOWN_TAGS)]
