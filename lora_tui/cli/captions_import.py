"""``lora-tui captions import``: keep lists of tags and translations, for every project or for one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lora_tui.text.translate import _


def add(commands: Any) -> None:
    """Declare the command among the subcommands of ``captions``."""
    imports = commands.add_parser(
        "import", help=_("keep lists of tags and translations that completion and filters use; without FILE say which")
    )
    imports.add_argument(
        "sources", metavar="FILE", type=Path, nargs="*", help=_("a list, or a folder such as BooruDatasetTagManager's")
    )
    imports.add_argument("--project", type=Path, metavar="DIR", help=_("keep them for this project alone"))
    imports.add_argument("--replace", action="store_true", help=_("in the place of others of the same name"))
    imports.add_argument("--json", action="store_true", help=_("print one JSON document"))
    imports.set_defaults(action=_import)


def _import(args: argparse.Namespace) -> int:
    from lora_tui.captions.complete import installed_lists, list_folder
    from lora_tui.captions.lists import keep_list, kept_lists, lists_in
    from lora_tui.cli.output import note, print_json
    from lora_tui.errors import UserError

    root = _project_root(args.project)
    folder = list_folder(root)
    if not args.sources:
        kept = kept_lists(installed_lists(root))
        _say(kept, folder, args)
        return 0
    kept, refused = [], []
    for source in [path for named in args.sources for path in lists_in(named)]:
        try:
            kept.append(keep_list(source, folder, replace=args.replace))
        except UserError as error:
            refused.append(error)
    if args.json:
        print_json(
            {
                "folder": folder,
                "lists": [_as_json(one) for one in kept],
                "refused": [one.as_dict() for one in refused],
            }
        )
    else:
        _say(kept, folder, args)
    for refusal in refused:
        note(str(refusal))
    return 1 if refused else 0


def _project_root(directory: Path | None) -> Path | None:
    from lora_tui.errors import UserError
    from lora_tui.project import Project
    from lora_tui.text import plain

    if directory is None:
        return None
    project = Project.find(directory)
    if project is None:
        raise UserError(
            _("There is no project here."),
            place=plain(str(directory)),
            remedy=_("Leave --project out to keep the lists for every project, or make one: lora-tui new DIR"),
            code="project.missing",
        )
    return project.root


def _say(kept: list[Any], folder: Path, args: argparse.Namespace) -> None:
    from lora_tui.cli.output import print_json, say, table
    from lora_tui.text import count, ngettext, plain

    if args.json:
        print_json({"folder": folder, "lists": [_as_json(one) for one in kept], "refused": []})
    elif kept:
        rows = [
            (count(one.tags), count(one.translations), plain(str(one.path)), plain(one.encoding or "UTF-8"))
            for one in kept
        ]
        say(table(rows, (_("tags"), _("translations"), _("file"), _("read as")), right=(0, 1)))
        for one in kept:
            if one.odd:
                text = ngettext(
                    "{file}: {number} row names no tag and is not used",
                    "{file}: {number} rows name no tag and are not used",
                    one.odd,
                )
                say(text.format(file=plain(one.path.name), number=count(one.odd)))
    elif not args.sources:
        say(_("No list is kept yet. They would lie in {folder}.").format(folder=plain(str(folder))))


def _as_json(one: Any) -> dict[str, Any]:
    return {
        "file": one.path,
        "tags": one.tags,
        "translations": one.translations,
        "odd": one.odd,
        "encoding": one.encoding or "UTF-8",
        "new": one.is_new,
    }
