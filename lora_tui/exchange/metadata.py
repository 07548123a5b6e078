"""The ``ss_*`` metadata of a LoRA file: what sd-scripts, its faces and others that follow them wrote of a training."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_tui.exchange.draft import Draft, is_empty
from lora_tui.exchange.fate import Fate, Imported, Row, told_value
from lora_tui.exchange.places import Places
from lora_tui.exchange.sd_keys import SD_SCRIPTS
from lora_tui.exchange.sd_scripts import translated
from lora_tui.text import N_, _
from lora_tui.weights.header.format import read_header

MOST_TEXT = 4_000_000
#: key -> option of sd-scripts, where it is not the key's own end
_RENAMED: Mapping[str, str] = {
    "ss_sd_model_name": "pretrained_model_name_or_path", "ss_vae_name": "vae", "ss_optimizer": "optimizer_type",
    "ss_num_epochs": "max_train_epochs", "ss_batch_size_per_device": "train_batch_size",
}  # fmt: skip
_RECORD = N_("a record of the run that made the file, no setting")
RECORDS = frozenset({
    "ss_session_id", "ss_training_started_at", "ss_training_finished_at", "ss_epoch", "ss_steps",
    "ss_sd_scripts_commit_hash",
    "ss_sd_model_hash", "ss_new_sd_model_hash", "ss_vae_hash", "ss_new_vae_hash", "ss_num_train_images",
    "ss_num_reg_images", "ss_num_validation_images", "ss_num_batches_per_epoch", "ss_bucket_info", "ss_tag_frequency",
    "ss_total_batch_size", "ss_reg_dataset_dirs", "sshs_model_hash", "sshs_legacy_hash", "ss_resize_interpolation",
    "ss_validation_seed", "ss_max_validation_steps", "ss_face_crop_aug_range", "ss_caption_tag_dropout",
})  # fmt: skip
_OPTIMIZERS = re.compile(r"(?:[\w.]*\.)?(\w+)\((.*)\)\Z", re.DOTALL)
VERSIONS = (
    ("sdxl", "sdxl"), ("sd_v2", "sd2"), ("sd3", "sd3"), ("flux", "flux"), ("chroma", "chroma"), ("sd_v1", "sd15"),
    ("sd_1.5", "sd15"), ("sd1", "sd15"),
)  # fmt: skip


def read(path: Path) -> dict[str, str]:
    """The metadata of the LoRA file ``path``.

    Raises:
        UserError: it is none, or damaged.
    """
    return {key: value for key, value in read_header(path).metadata.items() if len(value) <= MOST_TEXT}


def imported(data: Mapping[str, Any], places: Places) -> Imported:
    """What the metadata say of the training, as a configuration; what they leave out is as it usually is here."""
    values: dict[str, Any] = {}
    keys: dict[str, str] = {}
    for key, value in data.items():
        option = _RENAMED.get(key, key.removeprefix("ss_"))
        if key.startswith("ss_") and key not in RECORDS and option in SD_SCRIPTS and not is_empty(value):
            values[option] = _value(value)
            keys[option] = key
    _arguments(data, values)
    _sizes(data, values, keys)
    version = str(data.get("ss_base_model_version", "")).lower()
    family = next((family for start, family in VERSIONS if version.startswith(start)), "")
    if "max_train_epochs" in values and "max_train_steps" in values:
        values.pop("max_train_steps")
    draft = translated(values, places, family=family, complete=False)
    folders = _folders(draft, data, places)
    found = draft.finished("lora-file")
    rows = {keys.get(row.key, row.key): row for row in found.rows}
    told = []
    for key, value in data.items():
        inner = [row for name, row in rows.items() if name.startswith(f"{key.removeprefix('ss_')}.")]
        if key in rows:
            told.append(replace(rows[key], key=key))
        elif inner:
            told += [replace(row, key=f"ss_{row.key}") for row in inner]
        else:
            told.append(_told(key, value, family, folders, found.config.steps.max_steps))
    return replace(found, rows=tuple(told))


def _told(key: str, value: Any, family: str, folders: int, steps: int) -> Row:
    text = told_value(key, value)
    if is_empty(value):
        return Row(key, "", Fate.TAKEN, {}, _("left empty"))
    if key == "ss_base_model_version" and family:
        return Row(key, text, Fate.TRANSLATED, {"model.family": family})
    if key in ("ss_dataset_dirs", "ss_datasets") and folders:
        return Row(key, text, Fate.TRANSLATED, {"datasets": folders}, _("folders are told by their names alone"))
    if key == "ss_max_train_steps" and not steps:
        return Row(key, text, Fate.IDLE, {}, _("the epochs say how long the run is"))
    if key in RECORDS or key in ("ss_dataset_dirs", "ss_datasets") or not key.startswith("ss_"):
        return Row(key, text, Fate.IDLE, {}, _(_RECORD))
    return Row(key, text, Fate.UNKNOWN)


def _value(value: Any) -> Any:
    """A value as it was before it became a text."""
    text = str(value).strip()
    if text in ("True", "False"):
        return text == "True"
    return text


def _arguments(data: Mapping[str, Any], values: dict[str, Any]) -> None:
    """Arguments of network and optimizer out of the texts that hold them."""
    if "network_args" in values:
        loaded = _loaded(values["network_args"])
        values["network_args"] = (
            [f"{name}={value}" for name, value in loaded.items()] if isinstance(loaded, dict) else []
        )
    if found := _OPTIMIZERS.match(str(values.get("optimizer_type", ""))):
        values["optimizer_type"] = found[1]
        if found[2].strip():
            values["optimizer_args"] = re.split(r",(?=\s*\w+=)", found[2])


def _sizes(data: Mapping[str, Any], values: dict[str, Any], keys: dict[str, str]) -> None:
    """Size and batch of the first dataset, where they are not told by themselves."""
    datasets = _loaded(data.get("ss_datasets"))
    first = datasets[0] if isinstance(datasets, list) and datasets and isinstance(datasets[0], dict) else {}
    same = ("resolution", "enable_bucket", "min_bucket_reso", "max_bucket_reso", "bucket_no_upscale")
    for name, option in {"batch_size_per_device": "train_batch_size", **dict(zip(same, same, strict=True))}.items():
        if option not in values and not is_empty(first.get(name)):
            values[option] = first[name]
    if "resolution" in values:
        values["resolution"] = str(values["resolution"]).strip("()[] ")


def _folders(draft: Draft, data: Mapping[str, Any], places: Places) -> int:
    """Folders are told by their names, without where they are; those that are found beside the file are taken."""
    folders = _loaded(data.get("ss_dataset_dirs"))
    count = 0
    for name, told in folders.items() if isinstance(folders, dict) else ():
        place, note = places.find(name)
        repeats = told.get("n_repeats", 0) if isinstance(told, dict) else 0
        if not note and not re.match(r"[\\/~]|\.\.", str(name)):
            count += draft.entry("datasets", "", {"path": place, "repeats": repeats})
        else:
            places.missing -= bool(note)
    return count


def _loaded(value: Any) -> Any:
    if isinstance(value, (dict, list)):
        return value
    try:
        return json.loads(str(value))
    except (ValueError, RecursionError):
        return None
