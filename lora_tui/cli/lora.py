"""``lora info``: what LoRA files hold, without loading them; ``lora split``: a DyLoRA at each of its ranks."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.weights.header.loras import LoraInfo

WRONG = 2


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    info = commands.add_parser("info", help=_("family, rank, alpha, modules and metadata of LoRA files"))
    info.add_argument("files", type=Path, metavar="FILE", nargs="+", help=_("several are shown as a table"))
    info.add_argument("--metadata", action="store_true", help=_("also print every metadata entry"))
    info.add_argument("--json", action="store_true", help=_("one JSON document with everything"))
    split = commands.add_parser("split", help=_("a DyLoRA as files of its ranks"))
    split.add_argument("file", type=Path, metavar="FILE")
    split.add_argument("--ranks", metavar="4,8,16", default="", help=_("these alone; else every unit of ranks"))
    split.add_argument("--to", type=Path, metavar="DIR", default=None, help=_("where to; else beside the file"))
    split.add_argument("--json", action="store_true", help=_("what was written as JSON"))


def run(args: argparse.Namespace) -> int:
    """Print what the files say of themselves, or split one."""
    if args.action == "split":
        return _split(args)
    if len(args.files) > 1:
        return _many(args)
    from lora_tui.cli.output import print_json, say
    from lora_tui.weights.header.loras import lora_info
    from lora_tui.weights.header.told import info_lines

    (file,) = args.files
    info = lora_info(file)
    if args.json:
        print_json({"file": file, **info.as_dict()})
        return 0
    from lora_tui.text.plain import plain

    say(plain(file.name))
    for title, value in info_lines(info):
        say(f"  {title:<16} {value}")
    if args.metadata:
        say()
        for key, value in sorted(info.metadata.items()):
            say(f"  {plain(key)} = {plain(value)}")
    return 0


def _split(args: argparse.Namespace) -> int:
    """One file for each rank, named ``NAME-rank08.safetensors``; none that is there is written over."""
    from lora_tui.cli.main import Usage
    from lora_tui.cli.output import print_json, say
    from lora_tui.errors import UserError
    from lora_tui.text.formats import bytes_text
    from lora_tui.text.plain import plain
    from lora_tui.weights.cut import cut, ranks_of

    try:
        wanted = [int(word) for word in args.ranks.split(",")] if args.ranks else []
    except ValueError:
        raise Usage(_("--ranks takes numbers with commas between them."), command="lora") from None
    ranks = ranks_of(args.file, dict.fromkeys(wanted))
    folder = args.to or args.file.parent
    targets = [folder / f"{args.file.stem}-rank{rank:02d}.safetensors" for rank in ranks]
    there = next((target for target in targets if target.exists()), None)
    if there is not None:
        raise UserError(
            _("there is such a file already."),
            place=plain(str(there)),
            remedy=_("Move it away, or give another folder with --to."),
            code="file.exists",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = [(target, cut(args.file, rank, target)) for rank, target in zip(ranks, targets, strict=True)]
    except OSError as error:
        raise UserError(
            _("nothing can be written there: {reason}.").format(reason=plain(error.strerror or str(error))),
            place=plain(str(folder)),
            remedy=_("Give another folder with --to."),
            code="file.write",
        ) from None
    if args.json:
        print_json({"files": [{"file": target, "size": size} for target, size in written]})
        return 0
    for target, size in written:
        say(f"{plain(str(target))}  {bytes_text(size)}")
    return 0


def _headings() -> tuple[str, ...]:
    return _("file"), _("family"), _("kind"), _("step"), _("rank"), _("alpha"), _("size")


def _many(args: argparse.Namespace) -> int:
    """One row for each file; those that cannot be read are named, and the status says that there are some."""
    from lora_tui.cli.output import note, print_json, say, table
    from lora_tui.errors import UserError
    from lora_tui.text.formats import bytes_text
    from lora_tui.text.plain import plain
    from lora_tui.weights.header.loras import lora_info
    from lora_tui.weights.header.told import spread

    found: list[tuple[Path, LoraInfo]] = []
    wrong: list[tuple[Path, UserError]] = []
    for file in args.files:
        try:
            found.append((file, lora_info(file)))
        except UserError as error:
            wrong.append((file, error))
    if args.json:
        documents = [{"file": file, **info.as_dict()} for file, info in found]
        print_json({"files": documents, "errors": [{"file": file, **error.as_dict()} for file, error in wrong]})
        return WRONG if wrong else 0
    rows = [
        (
            plain(str(file)),
            info.family,
            info.kind,
            plain(info.metadata.get("ss_steps", "-"), limit=12),
            spread(info.ranks) or "-",
            spread({f"{a:g}": n for a, n in info.alphas.items()}) or "-",
            bytes_text(info.size),
        )
        for file, info in found
    ]
    if rows:
        say(table(rows, _headings(), right=range(3, 7)))
    if args.metadata:
        for file, info in found:
            say()
            say(plain(str(file)))
            for key, value in sorted(info.metadata.items()):
                say(f"  {plain(key)} = {plain(value)}")
    for _file, problem in wrong:
        note(plain(f"lora-tui: {problem}"))
    return WRONG if wrong else 0
