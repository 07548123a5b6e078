"""What a LoRA file says of itself, in lines for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lora_tui.text.formats import bytes_text, clock, count
from lora_tui.text.plain import plain
from lora_tui.text.translate import N_, _
from lora_tui.weights.header.loras import LoraInfo
from lora_tui.weights.header.story import (
    TITLES,
    base_of,
    dataset_of,
    folders_of,
    tags_of,
    told,
    training_of,
    triggers_of,
)

SHOWN_TAGS = 8
SHOWN_FOLDERS = 6
LONGEST = 120
TOLD = (
    ("ss_output_name", N_("name")),
    ("modelspec.title", N_("title")),
    ("modelspec.author", N_("author")),
    ("ss_training_comment", N_("comment")),
    ("modelspec.description", N_("description")),
    ("modelspec.merged_from", N_("merged from")),
)
"""Metadata that a person asks for first, and what we call them."""
PART_NAMES: Mapping[str, str] = {
    "denoiser": N_("image model"),
    "text_encoder": N_("text encoder"),
    "text_encoder_2": N_("second text encoder"),
    "text_encoder_3": N_("third text encoder"),
}
GROUP_NAMES: Mapping[str, str] = {
    "attention": N_("attention"),
    "feed-forward": N_("feed-forward"),
    "convolution": N_("convolutions"),
    "other": N_("other layers"),
}
_MOMENTS = ("ss_training_started_at", "ss_training_finished_at")


def info_lines(info: LoraInfo) -> Iterator[tuple[str, str]]:
    """Title and value of each line, safe to show; a line that goes on has no title."""
    yield _("family"), info.family
    yield _("kind"), _("{kind}, {layout} names").format(kind=info.kind, layout=info.layout)
    yield _("rank"), spread(info.ranks) or "-"
    yield _("alpha"), spread({f"{a:g}": n for a, n in info.alphas.items()}) or _("not stated: acts as rank")
    if info.rank and info.alpha is not None:
        yield _("scale"), f"{info.alpha / info.rank:g}"
    yield _("modules"), _parts(info)
    if len(info.ranks) > 1 or len(info.alphas) > 1:
        yield from _continued(_("by layers"), table_of_groups(info))
    yield _("tensors"), _("{dtype}, file {size}").format(dtype=info.dtype, size=bytes_text(info.size))
    metadata = info.metadata
    seen = set()
    for key, title in TOLD:
        value = told(metadata, key)
        if value and value not in seen:
            seen.add(value)
            yield _(title), plain(value, limit=LONGEST)
    yield from _continued(_("trigger words"), [plain(words, limit=LONGEST) for words in triggers_of(metadata)])
    yield from _base(metadata)
    yield from _training(metadata)
    yield from _dataset(metadata)
    tags = [f"{plain(tag, limit=40)} ({count(number)})" for tag, number in tags_of(metadata)[:SHOWN_TAGS]]
    if tags:
        yield _("tags"), plain(", ".join(tags), limit=LONGEST + 40)
    for key, value in info.hashes.items():
        if key.startswith("sshs_model"):
            yield _("hash of tensors"), plain(value, limit=LONGEST)


def _parts(info: LoraInfo) -> str:
    listed = [f"{count(number)} {_(PART_NAMES[part])}" for part, number in info.parts.items()]
    return f"{count(info.modules)}: {', '.join(listed)}"


def table_of_groups(info: LoraInfo) -> list[str]:
    """Ranks and alphas of each group of layers, for files in which they differ."""
    lines = []
    for group in info.groups:
        text = _("{part}, {what}: {count} of rank {ranks}").format(
            part=_(PART_NAMES[group.part]),
            what=_(GROUP_NAMES[group.what]),
            count=count(group.modules),
            ranks=spread(group.ranks) or "-",
        )
        alphas = spread({f"{a:g}": n for a, n in group.alphas.items()})
        lines.append(text + _(", alpha {alphas}").format(alphas=alphas) if alphas else text)
    return lines


def _base(metadata: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    base = base_of(metadata)
    if name := base.name or base.version:
        also = [part for part in (base.version if base.name else "", base.legacy_hash) if part]
        yield _("base model"), plain(f"{name} ({', '.join(also)})" if also else name, limit=LONGEST)
    if base.sha256:
        yield _("its sha256"), plain(base.sha256, limit=LONGEST)


def _training(metadata: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    lines = []
    for key, value in training_of(metadata).items():
        lines.append(f"{_(TITLES[key])} {_moment(value) if key in _MOMENTS else plain(value, limit=80)}")
    yield from _continued(_("training"), lines)


def _dataset(metadata: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    lines = [f"{_(TITLES[key])} {plain(value, limit=80)}" for key, value in dataset_of(metadata).items()]
    folders = folders_of(metadata)
    for folder in folders[:SHOWN_FOLDERS]:
        lines.append(
            _("{folder}: {images} images x {repeats}").format(
                folder=plain(folder.name, limit=60), images=count(folder.images), repeats=count(folder.repeats)
            )
        )
    if len(folders) > SHOWN_FOLDERS:
        lines.append(_("and {count} more").format(count=count(len(folders) - SHOWN_FOLDERS)))
    yield from _continued(_("dataset"), lines)


def _continued(title: str, lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines):
        yield title if number == 0 else "", line


def _moment(value: str) -> str:
    try:
        return clock(float(value), "%Y-%m-%d %H:%M:%S") or plain(value, limit=40)
    except (ValueError, OverflowError):
        return plain(value, limit=40)


def spread(values: Mapping[Any, int]) -> str:
    """One value as itself; several as ``16 (180), 8 (12)``."""
    if len(values) < 2:
        return "".join(str(value) for value in values)
    return ", ".join(f"{value} ({number})" for value, number in values.items())


def metadata_lines(metadata: Mapping[str, str], *, limit: int = 2000) -> list[str]:
    """Every entry, keys in order, safe to show; values of more than ``limit`` characters end there."""
    return [f"{plain(key, limit=200)} = {plain(value, limit=limit)}" for key, value in sorted(metadata.items())]
