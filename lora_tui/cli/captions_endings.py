"""``lora-tui captions endings``: which endings the caption files of a folder have, and which are read."""

from __future__ import annotations

import argparse
from typing import Any

from lora_tui.text.translate import _


def add(commands: Any) -> None:
    """Declare the command among the subcommands of ``captions``."""
    from lora_tui.cli.captions import add_folder

    endings = commands.add_parser(
        "endings", help=_("say which endings the caption files have, on how many images, and of how many lines")
    )
    add_folder(endings)
    endings.set_defaults(action=_endings)


def _endings(args: argparse.Namespace) -> int:
    from lora_tui.captions.variants import endings_in, most_lines
    from lora_tui.cli.captions_open import open_session
    from lora_tui.cli.output import print_json, say, table
    from lora_tui.text import count, plain

    corpus = open_session(args).corpus
    endings, lines = endings_in(corpus, corpus.extensions).images, most_lines(corpus)
    read = {
        ending: sum(1 for entry in corpus.entries if entry.document and entry.caption_name.endswith(ending))
        for ending in endings
        if ending in corpus.extensions
    }
    if args.json:
        rows = [{"ending": name, "images": images, "read": read.get(name, 0)} for name, images in endings.items()]
        print_json({"images": len(corpus.entries), "lines": lines, "endings": rows})
        return 0
    if not endings:
        say(_("No image has a caption file."))
        return 0
    shown = [(plain(name), count(images), count(read.get(name, 0))) for name, images in endings.items()]
    say(table(shown, (_("ending"), _("images"), _("read")), right=(1, 2)))
    if lines > 1:
        say(_("Captions have up to {lines} lines; --line edits one of them.").format(lines=lines))
    return 0
