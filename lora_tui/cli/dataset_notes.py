"""``lora-tui dataset notes``: images left out, crops by hand, pictures reviewed, source and licence."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text import _

if TYPE_CHECKING:
    from lora_tui.dataset.notes import Crop, Notes


def build(commands: Any) -> None:
    """Declare the command."""
    from lora_tui.cli.captions import add_scope

    notes = commands.add_parser(
        "notes", help=_("leave images out, choose the part that is used, mark as reviewed, say where they are from")
    )
    add_scope(notes)
    which = notes.add_mutually_exclusive_group()
    which.add_argument("--exclude", action="store_true", help=_("leave the images out of training and export"))
    which.add_argument("--include", action="store_true", help=_("take the images in again"))
    which.add_argument("--reviewed", action="store_true", help=_("mark the pictures as looked at"))
    which.add_argument("--not-reviewed", action="store_true", help=_("take that mark away"))
    which.add_argument(
        "--crop",
        metavar="LEFT,TOP,WIDTHxHEIGHT",
        help=_("the part of the image that is used, px of the image as shown"),
    )
    which.add_argument("--no-crop", action="store_true", help=_("use the whole image again"))
    notes.add_argument("--source", metavar="TEXT", help=_("where the images are from"))
    notes.add_argument("--licence", metavar="TEXT", help=_("what may be done with them"))
    notes.set_defaults(action=_notes)


def _notes(args: argparse.Namespace) -> int:
    from lora_tui.captions.journal.log import home_of
    from lora_tui.cli.captions_open import chosen, open_session
    from lora_tui.dataset.noted import homes_for, notes_within
    from lora_tui.dataset.notes import change_notes, name_in_notes
    from lora_tui.errors import UserError

    about_images = args.exclude or args.include or args.reviewed or args.not_reviewed or args.crop or args.no_crop
    if about_images and not args.image and not args.where:
        raise UserError(
            _("No image is named."), remedy=_("Name images with --image NAME, or find them with --where."), code="usage"
        )
    home, paths = home_of(args.directory), []
    if args.image or args.where:
        session = open_session(args)
        try:
            paths = [session.corpus.root / session.corpus.entries[number].name for number in chosen(session, args)]
        finally:
            session.close()
    crops = _crops(args.crop, paths) if args.crop else {}
    about_source = args.source is not None or args.licence is not None
    away = args.include or args.not_reviewed or args.no_crop
    homes = homes_for(paths, partial(_home, home), away=away) if about_images else {}
    for place, names in homes.items():
        called = {name_in_notes(place, path): crops.get(path) for path in paths}
        own = {name: called[name] for name in names}
        change_notes(place, partial(_changed, args=args, crops=own))
    if about_source:
        change_notes(home, lambda notes: notes.about(source=args.source, licence=args.licence))
    _print(args, home, notes_within(home), [name_in_notes(home, path) for path in paths])
    return 0


def _home(dataset: Path, image: Path) -> Path:
    """Where something new about an image is written: the nearest folder that keeps notes, else the dataset's."""
    from lora_tui.captions.journal.log import HOME, home_of

    nearest = home_of(image.parent)
    return nearest if (nearest / HOME).is_dir() else dataset


def _changed(notes: Notes, args: argparse.Namespace, crops: Mapping[str, Crop | None]) -> Notes:
    """Notes after what the command says of the images that ``crops`` names, each with its part."""
    if args.exclude:
        return notes.excluding(*crops)
    if args.include:
        return notes.including(*crops)
    if args.reviewed or args.not_reviewed:
        return notes.reviewing(*crops, reviewed=args.reviewed)
    return notes.with_crops(crops)


def _crops(text: str, paths: list[Path]) -> dict[Path, Crop]:
    """The crop for each image.

    Raises:
        UserError: the numbers are none, or do not lie in an image.
    """
    from lora_tui.dataset.buckets import Size
    from lora_tui.dataset.cropping import lies_in, parse
    from lora_tui.dataset.facts import read_facts
    from lora_tui.dataset.notes import Crop
    from lora_tui.errors import UserError
    from lora_tui.text import plain

    box = parse(text)
    if box is None:
        remedy = _("Write left and top corner, width and height: 10,20,512x512.")
        raise UserError(_("This is no part of an image."), place=f"--crop {plain(text)}", remedy=remedy, code="usage")
    crops = {}
    for path in paths:
        facts = read_facts(path)
        size = Size(facts.width, facts.height)
        if not lies_in(box, size):
            message = _("The part does not lie in the image, which has {width} x {height} px.")
            raise UserError(
                message.format(width=facts.width, height=facts.height), place=plain(str(path)), code="notes.crop"
            )
        crops[path] = Crop(box, size)
    return crops


def _print(args: argparse.Namespace, home: Path, notes: Notes, names: list[str]) -> None:
    from lora_tui.cli.output import print_json, say, table
    from lora_tui.text import count

    if args.json:
        crops = {
            name: [crop.box.left, crop.box.top, crop.box.width, crop.box.height] for name, crop in notes.crops.items()
        }
        told = {"folder": home, "images": names, "source": notes.source, "licence": notes.licence, "crops": crops}
        print_json({**told, "excluded": sorted(notes.excluded), "reviewed": sorted(notes.reviewed)})
        return
    for word, text in ((_("source"), notes.source), (_("licence"), notes.licence)):
        if text:
            say(f"{word}: {text}")
    say(_("{number} left out, {reviewed} reviewed, {crops} with a part chosen by hand").format(
        number=count(len(notes.excluded)), reviewed=count(len(notes.reviewed)), crops=count(len(notes.crops))
    ))  # fmt: skip
    rows = []
    for name in sorted(notes.excluded | set(notes.crops)):
        crop = notes.crops.get(name)
        part = "" if crop is None else f"{crop.box.left},{crop.box.top},{crop.box.width}x{crop.box.height}"
        rows.append((name, _("left out") if name in notes.excluded else "", part))
    if rows:
        say(table(rows, (_("image"), "", _("part"))))
