"""``runs sample|set|measure|images``: what is asked of a living run with words of its own, and what it measured."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.errors import UserError
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.runs.folder import RunFolder

ACTIONS = ("set", "measure", "images")
WORST = 20
"""Images that are listed where nothing else is asked for."""


def build(commands: Any) -> None:
    """Declare the commands that :data:`ACTIONS` names."""
    setting = commands.add_parser("set", help=_("change the learning rate or the last step of a living run"))
    setting.add_argument("--learning-rate", type=float, default=None, metavar="RATE", help=_("before its schedule"))
    setting.add_argument("--steps", type=int, default=None, metavar="N", help=_("the last step of the run"))
    measuring = commands.add_parser("measure", help=_("measure the loss of every image now"))
    images = commands.add_parser("images", help=_("the loss of each image, the worst first"))
    images.add_argument("--step", type=int, default=None, metavar="N", help=_("as it was measured at this step"))
    images.add_argument("--all", action="store_true", help=_("all images, not the worst alone"))
    for command in (setting, measuring, images):
        command.add_argument(
            "run", nargs="?", default="", metavar="RUN", help=_("folder, name or number; else the newest living run")
        )
        command.add_argument("--dir", default=".", help=_("the project to look in"))
        command.add_argument("--json", action="store_true", help=_("the result as JSON"))


def add_sample_options(parser: argparse.ArgumentParser) -> None:
    """Options of ``runs sample``: a prompt that the configuration does not have."""
    parser.add_argument("--prompt", default=None, metavar="TEXT", help=_("draw this, once; flags such as --s 28 count"))
    parser.add_argument("--like", type=int, default=1, metavar="N", help=_("size, steps and seed of this sample (1)"))


def sample_fields(args: argparse.Namespace) -> dict[str, Any]:
    """What a request for a sample says."""
    return {} if args.prompt is None else {"prompt": args.prompt, "like": max(args.like - 1, 0)}


def set_fields(args: argparse.Namespace) -> dict[str, Any]:
    """What ``runs set`` asks for.

    Raises:
        UserError: it asks for nothing that can be.
    """
    from lora_tui.runs.changes import read_rate, read_total

    fields = {"learning_rate": args.learning_rate, "total_steps": args.steps}
    fields = {name: value for name, value in fields.items() if value is not None}
    if not fields:
        raise UserError(
            _("Nothing is to be changed."), remedy=_("Give --learning-rate, --steps or both."), code="runs.set"
        )
    if "learning_rate" in fields and read_rate(args.learning_rate) is None:
        raise UserError(_("A learning rate is a number above 0."), place="--learning-rate", code="runs.set")
    if "total_steps" in fields and read_total(args.steps) is None:
        raise UserError(_("A number of steps is a whole number above 0."), place="--steps", code="runs.set")
    return fields


def list_images(chosen: RunFolder, args: argparse.Namespace) -> int:
    """Print what was measured last, or at a step.

    Raises:
        UserError: nothing was.
    """
    from lora_tui.cli.output import note, print_json, say, table
    from lora_tui.runs.image_losses import measured_steps, read_image_losses
    from lora_tui.text.formats import count, number
    from lora_tui.text.plain import plain

    steps = measured_steps(chosen.root)
    step = args.step if args.step is not None else (steps[-1] if steps else 0)
    found = read_image_losses(chosen.root, step)
    if not found:
        raise UserError(
            _("The loss of its images was not measured."),
            place=chosen.name,
            remedy=_("Known are the steps {steps}.").format(steps=", ".join(map(str, steps)))
            if steps
            else _("Ask the living run: lora-tui runs measure"),
            code="runs.images",
        )
    shown = found if args.all else found[:WORST]
    if args.json:
        rows = [{"path": i.path, "loss": i.loss, "levels": i.levels, "change": i.change} for i in shown]
        print_json({"run": chosen.root, "step": step, "measured": steps, "images": rows})
        return 0
    lines = [
        (number(i.loss), "" if i.change is None else f"{i.change:+.4f}", plain(str(_shown(i.path, args.dir))))
        for i in shown
    ]
    say(_("step {step}, the worst first").format(step=count(step)))
    say(table(lines, (_("loss"), _("change"), _("image")), right=(0, 1)))
    if len(shown) < len(found):
        note(_("{count} more with --all").format(count=count(len(found) - len(shown))))
    return 0


def _shown(path: Path, base: str) -> Path:
    here = Path(base).absolute()
    return path.relative_to(here) if path.is_relative_to(here) else path
