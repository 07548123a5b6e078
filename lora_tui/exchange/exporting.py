"""A configuration as sd-scripts takes it: its TOML, that of its datasets, its prompts, and the command that starts it.

What sd-scripts has no option for is found by reading the export back: what then differs is named in the report, and
kept in a table of its own (:mod:`lora_tui.exchange.told`), so that the way back loses nothing.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from lora_tui.config.fields import applies, field_for
from lora_tui.config.schema import Config, as_plain
from lora_tui.errors import UserError
from lora_tui.exchange import sd_data
from lora_tui.exchange.draft import all_settings
from lora_tui.exchange.options import dataset_table, options_for, prompt_line
from lora_tui.exchange.places import Places
from lora_tui.exchange.sd_scripts import translated
from lora_tui.exchange.told import DESCRIBED, DIGEST, OURS, digest_of
from lora_tui.files import write_atomic
from lora_tui.places import exists
from lora_tui.text import _, plain
from lora_tui.toml_files import parse_toml

CONFIG, DATASET, PROMPTS, COMMAND = "config.toml", "dataset.toml", "prompts.txt", "train.sh"
SCRIPTS: Mapping[str, str] = {
    "sd15": "train_network.py", "sd2": "train_network.py", "sdxl": "sdxl_train_network.py",
    "sd3": "sd3_train_network.py",
    "flux": "flux_train_network.py", "chroma": "flux_train_network.py",
}  # fmt: skip
"""Families that sd-scripts trains, and with which of its scripts."""
IN_DATASETS = frozenset({"data.more_resolutions", "captions.missing"})
"""Settings that the file of datasets says folder by folder."""


@dataclass(frozen=True)
class Exported:
    """What was written, or would be.

    Attributes:
        files: name -> content.
        command: the line that starts the training, in the folder of sd-scripts.
        lost: settings that sd-scripts has no option for, which matter for this configuration, with their values.
    """

    files: Mapping[str, str]
    command: str
    lost: Mapping[str, Any]


def export(config: Config, folder: Path) -> Exported:
    """``config`` as files of sd-scripts in ``folder``, which nothing is written to yet.

    Raises:
        UserError: sd-scripts does not train the family, or a folder of images cannot be read.
    """
    family = config.model.family
    if family not in SCRIPTS:
        raise UserError(
            _("sd-scripts does not train this family: {family}.").format(family=family),
            place="model.family",
            remedy=_("It trains {families}.").format(families=", ".join(SCRIPTS)),
            code="exchange.family",
        )
    folder = folder.absolute()
    options = options_for(config)
    described = _toml(dataset_table(config))
    options["dataset_config"] = str(folder / DATASET)
    options["output_dir"] = str(folder / "output")
    if config.samples:
        options["sample_prompts"] = str(folder / PROMPTS)
    table, lost = _differences(config, options, described, folder)
    command = _command(config, folder)
    head = "# " + _("Written by lora-tui for sd-scripts.") + "\n"
    files = {CONFIG: head + _toml({**options, **({OURS: table} if table else {})}), DATASET: described}
    if config.samples:
        files[PROMPTS] = "".join(f"{prompt_line(sample, config)}\n" for sample in config.samples)
    files[COMMAND] = f"#!/bin/sh\n# {_('Run it in the folder of sd-scripts.')}\n{command}\n"
    return Exported(files, command, lost)


def write(exported: Exported, folder: Path, *, force: bool = False) -> list[Path]:
    """Write the files into ``folder``; returns their paths.

    Raises:
        UserError: one of them is there already and ``force`` does not say to replace it, or cannot be written.
    """
    paths = [folder / name for name in exported.files]
    if not force and (there := [path for path in paths if exists(path)]):
        raise UserError(
            _("The file is there already."),
            place=plain(str(there[0])),
            remedy=_("Name another folder, or replace it with --force."),
            code="exchange.exists",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in zip(paths, exported.files.values(), strict=True):
            write_atomic(path, content.encode())
    except UserError:
        raise
    except OSError as error:
        raise UserError(
            _("The files cannot be written: {reason}.").format(reason=error.strerror or error),
            place=plain(str(folder)),
            remedy=_("Check the folder's permissions and free space."),
            code="exchange.write",
        ) from error
    return paths


def _differences(
    config: Config, options: Mapping[str, Any], described: str, folder: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is another when the options are read back: the table that keeps it, and the settings that matter of it.

    Prompts are compared whole. What the file of datasets says otherwise stands in a table within the table, with that
    file's digest: it counts only as long as nobody changes that file.
    """
    told = {key: value for key, value in options.items() if key not in ("dataset_config", "sample_prompts")}
    told["sample_prompts"] = [prompt_line(sample, config) for sample in config.samples]
    back = translated(told, Places(folder), family=config.model.family)
    alone = all_settings(back.config)
    sd_data.take_described(back, parse_toml(described), Places(folder))
    theirs, ours = all_settings(back.config), all_settings(config)
    other = {key: value for key, value in ours.items() if theirs[key] != value}
    table: dict[str, Any] = {"model.family": config.model.family}  # told by the script, not by the options
    of_datasets = {key for key in other if alone[key] != theirs[key]} | IN_DATASETS
    table |= {key: value for key, value in other.items() if key not in of_datasets}
    inner: dict[str, Any] = {key: value for key, value in other.items() if key in of_datasets}
    plain_ours, plain_theirs = as_plain(config), as_plain(back.config)
    if plain_theirs["samples"] != plain_ours["samples"]:
        table["samples"] = plain_ours["samples"]
    if plain_theirs["datasets"] != plain_ours["datasets"]:
        inner["datasets"] = plain_ours["datasets"]
    if inner:
        table[DESCRIBED] = {DIGEST: digest_of(described), **inner}
    lost = {key: value for key, value in {**table, **other}.items() if _matters(key, config)}
    return table, {**lost, **dict(_lost_of_entries(config))}


def _lost_of_entries(config: Config) -> Iterator[tuple[str, Any]]:
    """What sd-scripts has no option for among the settings of each folder."""
    for number, entry in enumerate(config.datasets):
        if entry.use and entry.weight != 1:
            yield f"datasets.{number}.weight", entry.weight
        if entry.use and len(entry.extensions) > 1:
            yield f"datasets.{number}.extensions", list(entry.extensions)


def _matters(key: str, config: Config) -> bool:
    spec = field_for(key)
    return key not in ("model.family", DESCRIBED) and (spec is None or applies(spec, config))


def _command(config: Config, folder: Path) -> str:
    launch = ["accelerate", "launch", "--num_cpu_threads_per_process", "1"]
    precision = {"fp32": "no"}.get(config.memory.precision, config.memory.precision)
    launch += ["--mixed_precision", precision, "--num_processes", str(config.memory.processes)]
    launch += ["--multi_gpu"] if config.memory.processes > 1 else []
    return shlex.join([*launch, SCRIPTS[config.model.family], "--config_file", str(folder / CONFIG)])


def _toml(data: Mapping[str, Any]) -> str:
    try:
        text = tomli_w.dumps(dict(data))
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            _("A text is not UTF-8 and cannot be written: {text}.").format(text=plain(error.object, limit=80)),
            remedy=_("Rename the file or folder."),
            code="exchange.encoding",
        ) from error
    return text
