"""Which program a file is of, told from what it holds, never from its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.exchange.reading import read_json, read_toml_text, read_yaml, refused, text_of
from lora_tui.exchange.sd_keys import ONLY_LORA_SCRIPTS, SD_SCRIPTS
from lora_tui.text import N_, _, plain

FORMATS: Mapping[str, str] = {
    "sd-scripts": N_("sd-scripts, TOML"),
    "sd-scripts-dataset": N_("sd-scripts, TOML of a dataset"),
    "command": N_("a command line of sd-scripts"),
    "lora-scripts": N_("lora-scripts, TOML"),
    "lora-scripts-script": N_("lora-scripts, train.sh or train.ps1"),
    "kohya-ss": N_("kohya_ss, JSON"),
    "ai-toolkit": N_("ai-toolkit, YAML"),
    "onetrainer": N_("OneTrainer, JSON"),
    "flux-trainer": N_("ComfyUI-FluxTrainer, workflow"),
    "lora-file": N_("the metadata of a LoRA file"),
}
_COMMAND = re.compile(r"(?:train_network|sdxl_train|flux_train|sd3_train|train_db|fine_tune)\w*\.py")
_OPTION = re.compile(r"(?:^|\s)--(?:pretrained_model_name_or_path|dataset_config|config_file|network_module)\b")
_VARIABLE = re.compile(r"^\s*\$?(?:pretrained_model|train_data_dir|network_dim|max_train_epoches)\s*=", re.MULTILINE)


@dataclass(frozen=True)
class Found:
    """A file that was read.

    Attributes:
        kind: one of :data:`FORMATS`.
        data: its table; empty for scripts and LoRA files.
        text: its text; empty for LoRA files.
        twice: keys that stand in it more than once.
    """

    path: Path
    kind: str
    data: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    twice: tuple[str, ...] = ()


def find_kind(path: Path, raw: bytes, wanted: str = "") -> Found:
    """What kind of file ``raw``, the content of ``path``, is; ``wanted`` is what a person says that it is.

    Raises:
        UserError: it is none that is known, or not the one that is wanted.
    """
    if wanted and wanted not in FORMATS:
        names = ", ".join(FORMATS)
        raise UserError(
            _("There is no format {name}.").format(name=plain(wanted, limit=40)),
            place="--from",
            remedy=_("Known are: {names}.").format(names=names),
            code="exchange.format",
        )
    found = _look(path, raw)
    if wanted and found.kind != wanted:
        if {found.kind, wanted} <= {"sd-scripts", "lora-scripts"}:  # the same keys
            return Found(path, wanted, found.data, found.text, found.twice)
        message = _("It is no file of this kind, but: {kind}.").format(kind=_(FORMATS[found.kind]))
        raise refused(path, message, _("Leave --from away, or name another file."))
    return found


def _look(path: Path, raw: bytes) -> Found:
    if raw[8:9] == b"{" and 2 <= int.from_bytes(raw[:8], "little") <= 100_000_000:
        return Found(path, "lora-file")
    text = text_of(path, raw)
    start = text.lstrip()
    if not start:
        raise refused(path, _("The file is empty."))
    if start.startswith("{"):
        twice: list[str] = []
        data = read_json(path, text, twice)
        return Found(path, _kind_of_json(path, data), data, text, tuple(twice))
    if _COMMAND.search(text) or _OPTION.search(text):
        return Found(path, "lora-scripts-script" if len(_VARIABLE.findall(text)) > 1 else "command", text=text)
    if len(_VARIABLE.findall(text)) > 1 and re.search(r"^\s*(?:\$\w+\s*=|#!|export )", text, re.MULTILINE):
        return Found(path, "lora-scripts-script", text=text)
    if re.search(r"^(?:job|config)\s*:", text, re.MULTILINE):
        data = read_yaml(path, text)
        if isinstance(data.get("config"), dict):
            return Found(path, "ai-toolkit", data, text)
        raise _nobodys(path)
    data = read_toml_text(path, text)
    return Found(path, _kind_of_toml(path, data), data, text)


def _kind_of_json(path: Path, data: Mapping[str, Any]) -> str:
    if isinstance(data.get("nodes"), list) or any(
        isinstance(node, dict) and "class_type" in node for node in data.values()
    ):
        return "flux-trainer"
    if isinstance(data.get("config"), dict) and "process" in data["config"]:
        return "ai-toolkit"
    if "LoRA_type" in data or "model_list" in data:
        return "kohya-ss"
    if {"training_method", "base_model_name", "concept_file_name", "model_type", "__version"} & data.keys():
        return "onetrainer"
    if any(str(key).startswith("ss_") for key in data):
        return "lora-file"
    if len(SD_SCRIPTS & data.keys()) > 2:
        return "kohya-ss"
    raise _nobodys(path)


def _kind_of_toml(path: Path, data: Mapping[str, Any]) -> str:
    if "schema_version" in data and isinstance(data.get("model"), dict):
        raise refused(path, _("It is a configuration of lora-tui."), _("Load it; nothing has to be imported."))
    datasets = data.get("datasets")
    if isinstance(datasets, list) and datasets and isinstance(datasets[0], dict):
        return "sd-scripts-dataset"
    keys = set(one_level(data))
    if keys & ONLY_LORA_SCRIPTS or (isinstance(data.get("metadata"), dict) and isinstance(data.get("data"), dict)):
        return "lora-scripts"
    if keys & SD_SCRIPTS:
        return "sd-scripts"
    raise _nobodys(path)


def one_level(data: Mapping[str, Any]) -> dict[str, Any]:
    """What is in tables, as sd-scripts reads it: beside what is in none; the tables' names mean nothing."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, dict):
            found.update(value)
        else:
            found[key] = value
    return found


def _nobodys(path: Path) -> UserError:
    names = ", ".join(FORMATS)
    message = _("It is no training configuration of a program that is known here.")
    return refused(path, message, _("Known are: {names}.").format(names=names))
