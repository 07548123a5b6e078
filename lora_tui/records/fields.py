"""The fields of a run that a filter and a sorting can name, in our words and in those of other trainers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lora_tui.records.rows import Row

Get = Callable[[Row], Any]


def _setting(key: str) -> Get:
    return lambda row: row.settings.get(key)


FIELDS: dict[str, Get] = {
    "name": lambda row: row.run.name,
    "number": lambda row: row.status.number or None,
    "state": lambda row: row.status.state,
    "tag": lambda row: row.notes.tags,
    "note": lambda row: row.notes.note,
    "rating": lambda row: row.notes.rating,
    "family": _setting("model.family"),
    "base": _setting("model.base"),
    "adapter": lambda row: (row.adapter, row.settings.get("network.type")),
    "rank": _setting("network.rank"),
    "alpha": _setting("network.alpha"),
    "lr": _setting("learning.unet_lr"),
    "te_lr": _setting("learning.text_encoder_lr"),
    "optimizer": lambda row: (row.settings.get("optimizer.type"), row.settings.get("optimizer.kind")),
    "schedule": _setting("learning.schedule"),
    "batch": _setting("steps.batch_size"),
    "seed": _setting("steps.seed"),
    "resolution": _setting("data.resolution"),
    "trigger": _setting("saving.trigger"),
    "precision": _setting("memory.precision"),
    "step": lambda row: row.status.step,
    "steps": lambda row: row.status.total_steps,
    "epochs": lambda row: row.status.epochs,
    "done": lambda row: row.status.share,
    "loss": lambda row: row.status.loss,
    "validation": lambda row: row.validation,
    "best": lambda row: row.best_step or None,
    "images": lambda row: row.images or None,
    "files": lambda row: row.files,
    "started": lambda row: row.status.started,
    "ended": lambda row: row.status.ended,
    "took": lambda row: row.status.took,
    "cost": lambda row: row.cost,
    "sweep": lambda row: (row.sweep or None, row.member or None),
    "code": lambda row: row.status.code,
}
"""Name of a field -> what a run has there: a number, a text, several, or none."""

OTHER_NAMES = {
    "#": "number",
    "date": "started",
    "model": "base",
    "type": "adapter",
    "dim": "rank",
    "network_dim": "rank",
    "network_alpha": "alpha",
    "learning_rate": "lr",
    "unet_lr": "lr",
    "text_encoder_lr": "te_lr",
    "lr_scheduler": "schedule",
    "optimizer_type": "optimizer",
    "train_batch_size": "batch",
    "batch_size": "batch",
    "val": "validation",
    "stars": "rating",
    "tags": "tag",
    "notes": "note",
    "time": "took",
    "error": "code",
}
"""Other names of fields."""

KINDS: dict[str, Callable[[Row], bool]] = {
    "living": lambda row: row.status.alive,
    "ended": lambda row: not row.status.alive,
    "finished": lambda row: row.status.state == "finished",
    "failed": lambda row: row.status.state in ("failed", "died"),
    "resumable": lambda row: row.status.can_resume,
    "damaged": lambda row: bool(row.status.damaged) or row.unreadable,
    "newer": lambda row: row.status.newer,
    "note": lambda row: bool(row.notes.note),
    "noted": lambda row: bool(row.notes.note),
    "tag": lambda row: bool(row.notes.tags),
    "tagged": lambda row: bool(row.notes.tags),
    "rated": lambda row: row.notes.rating > 0,
    "chosen": lambda row: bool(row.notes.best),
    "validation": lambda row: row.validation is not None,
    "files": lambda row: row.files > 0,
    "sweep": lambda row: bool(row.sweep),
}
"""What stands behind ``is:`` and ``has:``."""


def field_of(name: str) -> Get | None:
    """What a run has in the field ``name``; none where there is no such field.

    A name that is none of the above is that of a setting, by its place or as other trainers call it; only then the
    schema is loaded.
    """
    name = name.casefold()
    name = OTHER_NAMES.get(name, name)
    if name in FIELDS:
        return FIELDS[name]
    from lora_tui.config.fields import fields

    for spec in fields():
        if not spec.repeated and (name in (spec.key, spec.name) or name in spec.option.peers):
            return _setting(spec.key)
    return None
