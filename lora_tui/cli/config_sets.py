"""``lora-tui config diff|presets|save-preset``: configurations beside each other, and sets of settings under a name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.config.schema import Config


def diff(args: argparse.Namespace) -> int:
    """Say which settings of a file are others than those of a preset, a run or another file."""
    from lora_tui.cli.output import print_json, say, table
    from lora_tui.config.compare import differences
    from lora_tui.config.load import load_config
    from lora_tui.text.plain import plain

    config = load_config(args.file)
    name, other = _other(args.other, config, args.file)
    found = differences(config, other)
    if args.json:
        listed = [{"key": one.key, "here": one.here, "there": one.there} for one in found]
        print_json({"file": args.file.absolute(), "other": name, "differences": listed})
        return 0
    if not found:
        say(_("Nothing differs from {name}.").format(name=name))
        return 0
    rows = [(one.key, one.here_text, one.there_text) for one in found]
    say(table(rows, (_("setting"), plain(args.file.name), name)))
    return 0


def _other(text: str, config: Config, near: Path) -> tuple[str, Config]:
    """What is meant by ``text``, with its name: a file, a run of the project, a preset applied to ``config``.

    Raises:
        UserError: it is none of them.
    """
    from lora_tui.config.load import load_config
    from lora_tui.config.presets import apply_preset, find_preset
    from lora_tui.places import is_folder
    from lora_tui.runs.choose import choose_run, runs_dir_for
    from lora_tui.text.plain import plain

    path = Path(text)
    if path.suffix == ".toml" and not is_folder(path):
        return plain(path.name), load_config(path)
    if is_folder(path) or text.isdecimal():
        run = choose_run(text, runs_dir_for(near))
        return plain(run.name), load_config(run.config_path)
    preset = find_preset(text, family=config.model.family)
    return _("preset {name}").format(name=preset.name), apply_preset(config, preset)


def presets(args: argparse.Namespace) -> int:
    """List the presets."""
    from lora_tui.cli.output import note, print_json, say, table
    from lora_tui.config.presets import list_presets, load_presets

    found, failed = list_presets(), load_presets()[1]
    if args.json:
        listed = [
            {
                "name": preset.name,
                "title": preset.title,
                "description": preset.description,
                "kind": preset.kind,
                "family": preset.family,
                "purposes": preset.purposes,
                "memory_gb": preset.memory_gb,
                "settings": preset.values,
            }
            for preset in found
        ]
        print_json({"presets": listed, "failed": [error.as_dict() for error in failed]})
        return 0
    say(table([(p.name, p.title, p.description) for p in found], (_("preset"), _("title"), _("what it is for"))))
    for error in failed:
        note(str(error))
    return 0


def save(args: argparse.Namespace) -> int:
    """Keep what a configuration changes as a preset."""
    from lora_tui.cli.output import print_json, say
    from lora_tui.config.load import load_config
    from lora_tui.config.presets import read_preset, save_preset
    from lora_tui.project import Project
    from lora_tui.text.plain import plain

    project = Project.find(args.file.absolute().parent)
    path = save_preset(
        load_config(args.file),
        args.name,
        title=args.title,
        description=args.description,
        purpose=project.purpose if project else "",
        replace=args.force,
    )
    if args.json:
        print_json({"path": path, "settings": read_preset(path, own=True).values})
        return 0
    say(_("Wrote {path}").format(path=plain(str(path))))
    for key, value in read_preset(path, own=True).values.items():
        say(f"  {key} = {plain(str(value), limit=80)}")
    return 0
