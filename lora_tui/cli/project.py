"""``lora-tui new``: make a project."""

from __future__ import annotations

import argparse
from pathlib import Path

from lora_tui.text import _


def build(parser: argparse.ArgumentParser) -> None:
    from lora_tui.project import PURPOSES

    parser.add_argument("directory", metavar="DIR", type=Path, help=_("folder of the project; made when it is missing"))
    parser.add_argument(
        "--purpose", default="", metavar="P", help=_("what the LoRA is for: {names}").format(names=", ".join(PURPOSES))
    )
    parser.add_argument("--trigger", default="", metavar="W", help=_("the word that calls up what is trained"))
    parser.add_argument("--name", default="", help=_("name of the project; the folder's name when not given"))
    parser.add_argument(
        "--dataset",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help=_("a folder of images, inside the project or elsewhere; may be given several times"),
    )
    parser.add_argument("--base", default="", metavar="MODEL", help=_("base model: a file, a folder or a hub name"))
    parser.add_argument(
        "--price", type=float, default=0.0, metavar="N", help=_("price of this machine per hour, for the plan")
    )
    parser.add_argument("--currency", default="", help=_("currency of the price"))
    parser.add_argument("--json", action="store_true", help=_("print one JSON document"))


def run(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.errors import UserError
    from lora_tui.places import is_folder
    from lora_tui.project import Project, resolved_model
    from lora_tui.text import plain

    if not 0 <= args.price < float("inf"):
        raise UserError(_("The price must be 0 or more."), place="--price", code="usage")
    for folder in args.dataset:
        if not is_folder(folder):
            raise UserError(
                _("There is no such folder."),
                place=plain(str(folder)),
                remedy=_("Make it first, or leave --dataset out."),
                code="project.dataset",
            )
    project = Project.create(
        args.directory,
        purpose=args.purpose,
        trigger=args.trigger,
        name=args.name,
        datasets=args.dataset,
        base_model=resolved_model(Path.cwd(), args.base),
        price_per_hour=args.price,
        currency=args.currency,
    )
    folders = [entry.path for entry in project.datasets]
    if args.json:
        print_json(
            {
                "project": project.root,
                "file": project.file,
                "name": project.name,
                "purpose": project.purpose,
                "kind": project.kind,
                "trigger": project.trigger,
                "datasets": folders,
                "base_model": project.base_model,
            }
        )
        return 0
    say(_("Made the project {name} in {folder}.").format(name=plain(project.name), folder=plain(str(project.root))))
    for folder in folders:
        say(_("  images in {folder}").format(folder=plain(str(folder))))
    say(_("Open it with: lora-tui {folder}").format(folder=plain(str(args.directory))))
    return 0
