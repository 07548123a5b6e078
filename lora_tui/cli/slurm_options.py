"""``--on slurm`` and what goes with it: the same options for starting a run and for going on with one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.jobs.slurm.options import Options
    from lora_tui.runs.folder import RunFolder

PLACES = ("here", "slurm")

_SEVERAL = {"sbatch": "lines", "setup": "setup"}
"""Options that may be given several times -> their names in the settings."""


def add(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    from lora_tui.jobs.slurm.line import NAMES
    from lora_tui.jobs.slurm.options import TEXTS

    texts = {name: _(text) for name, text in TEXTS.items()}
    group = parser.add_argument_group(_("on a cluster"), _("defaults stand in [slurm] of the settings"))
    group.add_argument("--on", choices=PLACES, default="", help=_("train on this machine, or send it to Slurm"))
    for name in NAMES:
        group.add_argument(f"--{name}", default=None, metavar=name[:1].upper(), help=texts[name])
    several: dict[str, Any] = {"action": "append", "default": None}
    group.add_argument("--sbatch", **several, metavar="OPTION", help=texts["lines"])
    group.add_argument("--setup", **several, metavar="LINE", help=texts["setup"])
    group.add_argument(
        "--requeue",
        action=argparse.BooleanOptionalAction,
        default=None,
        help=texts["requeue"],
    )


def of_start(args: argparse.Namespace, *, command: str, start: Options | None = None) -> Options | None:
    """What Slurm is asked for by the command line and the settings; none where it is not asked.

    ``command``: which it is, for its help; ``start``: in place of the settings.

    Raises:
        Usage: an option for Slurm without Slurm.
        UserError: one of them is wrong, or the settings are.
    """
    from lora_tui.cli.main import Usage
    from lora_tui.jobs.slurm.defaults import default_options
    from lora_tui.jobs.slurm.options import options_from

    given = _given(args)
    if args.on != "slurm":
        if given:
            name = "sbatch" if "lines" in given else next(iter(given))
            raise Usage(_("--{option} is for --on slurm.").format(option=name), command=command)
        return None
    return options_from(given, start or default_options(), place="--")


def of_resume(args: argparse.Namespace, run: RunFolder, *, command: str) -> Options | None:
    """The same for a run that is to go on: where it was before, with what it had, unless something else is said."""
    from lora_tui.jobs.slurm.send import last_options
    from lora_tui.jobs.slurm.submission import was_sent

    if not args.on and was_sent(run.root):
        args.on = "slurm"
    return of_start(args, command=command, start=last_options(run.root) if was_sent(run.root) else None)


def show(run_dir: Path, options: Options, *, as_json: bool) -> int:
    """Print the script that would be sent for a run folder, and what Slurm says to it, if it is here."""
    from lora_tui.cli.output import note, print_json
    from lora_tui.jobs.slurm import calls
    from lora_tui.jobs.slurm.script import script
    from lora_tui.text.plain import plain

    text = script(run_dir, options)
    shown = plain(text.decode("utf-8", "replace"), newlines=True)
    said = calls.try_out(run_dir.parent if run_dir.parent.is_dir() else Path.cwd(), text) if calls.here() else ""
    if as_json:
        print_json({"run": run_dir, "script": shown, "slurm": said or None})
        return 0
    print(shown, end="")
    if said:
        note(_("Slurm says: {words}").format(words=said))
    elif not calls.here():
        note(_("sbatch is not on this machine: nothing can be sent from here."))
    return 0


def _given(args: argparse.Namespace) -> dict[str, Any]:
    from lora_tui.jobs.slurm.line import NAMES

    found = {name: getattr(args, name) for name in (*NAMES, "requeue")}
    found |= {name: getattr(args, option) for option, name in _SEVERAL.items()}
    return {name: value for name, value in found.items() if value is not None}
