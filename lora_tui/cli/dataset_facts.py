"""``lora-tui dataset stats|coverage|duplicates``: a dataset in numbers, what it shows, and what it shows twice."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lora_tui.text import _

if TYPE_CHECKING:
    from lora_tui.config.schema import Config
    from lora_tui.dataset.coverage import Coverage
    from lora_tui.dataset.scan import DatasetImage, Scan
    from lora_tui.dataset.statistics import Table
    from lora_tui.project import Project

PROBLEMS = 3
BAR = 30
"""Cells of the longest bar."""

Opener = Callable[[argparse.Namespace], "tuple[Config, Scan, Project | None]"]


def build(commands: Any, add_source: Callable[[argparse.ArgumentParser], None], opened: Opener) -> None:
    """Declare the commands; ``opened`` scans what was named."""
    texts = {
        "stats": _("sizes, shapes, buckets, tags and each folder's share of an epoch"),
        "coverage": _("which views, framings, expressions and lights the images show, and which are missing"),
        "duplicates": _("groups of identical and nearly identical images"),
    }
    actions = {"stats": _stats, "coverage": _coverage, "duplicates": _duplicates}
    for name, text in texts.items():
        parser = commands.add_parser(name, help=text)
        add_source(parser)
        if name == "coverage":
            parser.add_argument(
                "--purpose", default="", metavar="P", help=_("what the LoRA is for; a project knows it")
            )
        parser.set_defaults(action=lambda args, action=actions[name]: action(args, opened))


def _stats(args: argparse.Namespace, opened: Opener) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.dataset.statistics import tables
    from lora_tui.text import count, ngettext

    config, scan, _project = opened(args)
    known = ((image.uid, _tags_of(image)) for image in scan.images)
    found = tables(scan.images, config, {uid: len(tags) for uid, tags in known if tags is not None})
    if args.json:
        print_json({"images": len(scan.images), "tables": [_plain(table) for table in found]})
        return 0
    say(ngettext("{count} image", "{count} images", len(scan.images)).format(count=count(len(scan.images))))
    for table in found:
        if table.bars:
            say()
            say(f"{table.title}" + (_(", median {value}").format(value=table.median) if table.median else ""))
            _say_bars([(bar.label, bar.number, bar.share) for bar in table.bars])
    return 0


def _plain(table: Table) -> dict[str, Any]:
    rows = [{"label": bar.label, "number": bar.number, "share": round(bar.share, 4)} for bar in table.bars]
    return {"name": table.name, "median": table.median, "rows": rows}


def _coverage(args: argparse.Namespace, opened: Opener) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.dataset.coverage import SURE, coverage
    from lora_tui.project import checked_purpose
    from lora_tui.tagging.seen import sure_tags

    _config, scan, project = opened(args)
    purpose = checked_purpose(args.purpose) if args.purpose else (project.purpose if project else "")
    seen = sure_tags(scan.images, SURE)
    found = coverage([_text_of(image) for image in scan.images], purpose=purpose, scores=seen)
    if args.json:
        print_json(_plain_coverage(found, purpose))
        return 0
    for aspect in found.aspects:
        if aspect.known:
            say(aspect.title)
            _say_bars([(kind.title, kind.images, kind.images / max(found.images, 1)) for kind in aspect.kinds])
            say()
    missing = [_("{aspect}: {kind}").format(aspect=aspect.title, kind=kind.title) for aspect, kind in found.missing]
    if missing:
        say(_("No image shows: {kinds}.").format(kinds=", ".join(missing)))
    if found.unknown:
        names = ", ".join(aspect.title for aspect in found.unknown)
        say(_("Too few captions say anything of: {aspects}. A tagger can: lora-tui tag").format(aspects=names))
    return 0


def _plain_coverage(found: Coverage, purpose: str) -> dict[str, Any]:
    return {
        "images": found.images,
        "purpose": purpose,
        "aspects": [
            {
                "name": aspect.name,
                "known": aspect.known,
                "kinds": {kind.name: kind.images for kind in aspect.kinds},
                "missing": [kind.name for kind in aspect.missing],
            }
            for aspect in found.aspects
        ],
    }


def _duplicates(args: argparse.Namespace, opened: Opener) -> int:
    from lora_tui.cli.output import Progress, print_json, say
    from lora_tui.dataset.pixel_checks import check_pixels
    from lora_tui.text import count, ngettext, plain

    _config, scan, _project = opened(args)
    with Progress(_("comparing images"), len(scan.images), quiet=args.json) as progress:
        problems = list(check_pixels(scan.images, progress.update))
    groups = [problem for problem in problems if problem.code in ("image.identical", "image.similar")]
    if args.json:
        print_json([{"kind": one.code.partition(".")[2], "images": [one.path, *one.others]} for one in groups])
        return PROBLEMS if groups else 0
    if not groups:
        say(_("No two images are the same or nearly the same."))
        return 0
    for one in groups:
        say(_("the same file") if one.code == "image.identical" else _("nearly the same"))
        for path in (one.path, *one.others):
            say(f"    {plain(str(path))}")
    text = ngettext(
        "{count} group. Remove what is too many with: lora-tui dataset remove DIR --image NAME",
        "{count} groups. Remove what is too many with: lora-tui dataset remove DIR --image NAME",
        len(groups),
    )
    say(text.format(count=count(len(groups))))
    return PROBLEMS


def _say_bars(rows: list[tuple[str, int, float]]) -> None:
    from lora_tui.cli.output import say, width
    from lora_tui.text import count

    label = max((width(name) for name, _number, _share in rows), default=0)
    digits = max((len(count(number)) for _name, number, _share in rows), default=0)
    most = max((share for _name, _number, share in rows), default=0) or 1
    for name, number, share in rows:
        blank = " " * (label - width(name))
        bar = "#" * round(BAR * share / most)
        say(f"  {name}{blank}  {count(number):>{digits}}  {share:>4.0%}  {bar}".rstrip())


def _text_of(image: DatasetImage) -> str:
    """The caption as it is trained, empty when there is none or it cannot be read."""
    from lora_tui.captions.as_trained import caption_text
    from lora_tui.captions.files import read_caption
    from lora_tui.errors import UserError

    if image.caption_path is None:
        return ""
    try:
        return caption_text(read_caption(image.caption_path))
    except UserError:
        return ""


def _tags_of(image: DatasetImage) -> tuple[str, ...] | None:
    """The tags of an image's caption; none without one that can be read."""
    from lora_tui.captions.files import read_caption
    from lora_tui.errors import UserError

    if image.caption_path is None:
        return None
    try:
        return read_caption(image.caption_path).tags
    except UserError:
        return None
