"""``lora-tui config import|export``: configurations of other programs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.errors import UserError
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.config.schema import Config


def build(commands: Any) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """Declare both commands."""
    reading = commands.add_parser(
        "import", help=_("read another program's configuration, and say what became of each key")
    )
    reading.add_argument("file", type=Path, metavar="FILE")
    reading.add_argument(
        "--from", dest="kind", default="", metavar="FORMAT", help=_("what it is; looked at when not given")
    )
    reading.add_argument(
        "-o", "--output", type=Path, metavar="PATH", help=_("default: configs/NAME.toml of the project")
    )
    reading.add_argument("--force", action="store_true", help=_("replace an existing file"))
    writing = commands.add_parser("export", help=_("write a configuration as another program takes it"))
    writing.add_argument("source", metavar="RUN_OR_CONFIG")
    writing.add_argument("folder", type=Path, metavar="DIR")
    writing.add_argument("--to", dest="kind", default="sd-scripts", choices=("sd-scripts",))
    writing.add_argument("--force", action="store_true", help=_("replace existing files"))
    return reading, writing


def read(args: argparse.Namespace) -> int:
    """Import a file, write the configuration and print the report."""
    from lora_tui.cli.output import print_json, say
    from lora_tui.config.fresh import file_stem
    from lora_tui.config.load import save_config
    from lora_tui.config.schema import as_plain
    from lora_tui.exchange.importing import import_file
    from lora_tui.exchange.kinds import FORMATS
    from lora_tui.places import exists
    from lora_tui.project import Project
    from lora_tui.text.plain import plain

    found = import_file(args.file, args.kind)
    project = Project.find(Path.cwd())
    usual = (project.configs if project else Path.cwd()) / f"{file_stem(args.file.stem)}.lora-tui.toml"
    path = args.output or usual
    if exists(path) and not args.force:
        raise UserError(
            _("The file is there already."),
            place=plain(str(path)),
            remedy=_("Name another with -o, or replace it with --force."),
            code="config.exists",
        )
    save_config(found.config, path)
    if args.json:
        counts = {fate.value: count for fate, count in found.counts.items()}
        told = {"file": args.file.absolute(), "format": found.format, "path": path.absolute(), "counts": counts}
        rows = [row.as_dict() for row in found.rows]
        more = {"rows": rows, "implied": dict(found.implied), "notes": list(found.notes)}
        print_json({**told, **more, "config": as_plain(found.config)})
        return 0
    say(_("{file}: {kind}").format(file=plain(str(args.file)), kind=_(FORMATS[found.format])))
    for line in found.lines():
        say(line)
    say()
    say(_("Wrote {path}").format(path=plain(str(path))))
    say(_("Next: lora-tui config check {path}").format(path=plain(str(path))))
    return 0


def write(args: argparse.Namespace) -> int:
    """Export a configuration, and name what the other program has no option for."""
    from lora_tui.cli.output import print_json, say
    from lora_tui.exchange import exporting
    from lora_tui.exchange.fate import value_text
    from lora_tui.text.plain import plain

    found = exporting.export(_source(args.source), args.folder)
    paths = exporting.write(found, args.folder, force=args.force)
    if args.json:
        print_json({"files": [path.absolute() for path in paths], "command": found.command, "lost": dict(found.lost)})
        return 0
    for path in paths:
        say(_("Wrote {path}").format(path=plain(str(path))))
    if found.lost:
        say(_("sd-scripts has no option for these; they are kept for the way back:"))
        for key, value in found.lost.items():
            say(f"  {key} = {value_text(value)}")
    say(_("In the folder of sd-scripts: {command}").format(command=plain(found.command)))
    return 0


def _source(text: str) -> Config:
    """The configuration of a run, or of a file.

    Raises:
        UserError: it is neither.
    """
    from lora_tui.config.load import load_config
    from lora_tui.places import is_file
    from lora_tui.runs.choose import choose_run, runs_dir_for

    path = Path(text)
    if is_file(path) or path.suffix == ".toml":
        return load_config(path)
    return load_config(choose_run(text, runs_dir_for(Path.cwd())).config_path)
