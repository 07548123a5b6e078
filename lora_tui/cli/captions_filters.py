"""``lora-tui captions filters``: filters kept under names, or pinned to the images that they find now."""

from __future__ import annotations

import argparse
from typing import Any

from lora_tui.text.translate import _


def add(commands: Any) -> None:
    """Declare the command among the subcommands of ``captions``."""
    from lora_tui.cli.captions import add_scope

    filters = commands.add_parser(
        "filters", help=_("list the filters that are kept under names, keep one with --save, or forget one")
    )
    add_scope(filters)
    what = filters.add_mutually_exclusive_group()
    what.add_argument("--save", metavar="NAME", help=_("keep the filter of --where; in:@NAME stands for it then"))
    what.add_argument("--forget", metavar="NAME", help=_("keep this one no longer"))
    filters.add_argument("--pin", action="store_true", help=_("with --save: the images that it finds now, for good"))
    filters.set_defaults(action=_filters)


def _filters(args: argparse.Namespace) -> int:
    from lora_tui.captions.journal.log import home_of
    from lora_tui.captions.query.saved import forget_filter, save_filter
    from lora_tui.cli.captions_open import chosen, open_session
    from lora_tui.errors import UserError

    folder = home_of(args.directory) / ".lora-tui"
    if args.save is not None:
        if not args.where:
            raise UserError(
                _("There is no filter that could be kept."), remedy=_("Say it with --where FILTER."), code="usage"
            )
        session = open_session(args)
        found = [session.corpus.entries[number].name for number in chosen(session, args)]  # a mistake is told now
        session.close()
        save_filter(folder, args.save, args.where, images=found if args.pin else None)
    elif args.pin:
        raise UserError(_("Only a filter that is kept can be pinned."), place="--pin", code="usage")
    elif args.forget is not None:
        forget_filter(folder, args.forget)
    _say(args, folder)
    return 0


def _say(args: argparse.Namespace, folder: Any) -> None:
    from lora_tui.captions.query.saved import load_filters
    from lora_tui.cli.output import print_json, say, table
    from lora_tui.text import count, ngettext, plain

    filters = load_filters(folder)
    if args.json:
        rows = [
            {"name": one.name, "query": one.query, "images": list(one.images) if one.pinned else None}
            for one in filters.values()
        ]
        print_json({"file": folder / "filters.toml", "filters": rows})
    elif filters:
        shown = []
        for one in filters.values():
            pinned = ngettext("pinned to {number} image", "pinned to {number} images", len(one.images))
            remark = pinned.format(number=count(len(one.images))) if one.pinned else ""
            shown.append((f"in:@{plain(one.name)}", plain(one.query), remark))
        say(table(shown, (_("name"), _("filter"), "")))
    else:
        say(_("No filter is kept."))
