"""What a preparation would make of one image: before and after, and which part is kept. Writes nothing that stays."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.dataset.buckets import Size
from lora_tui.dataset.eyes import eyes_now
from lora_tui.dataset.load import WHITE, open_upright
from lora_tui.dataset.prepare.crew import Crew
from lora_tui.dataset.prepare.make import Corners, make
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.plan import Item
from lora_tui.dataset.prepare.wire import item_as_data
from lora_tui.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Preview:
    """Before and after.

    Attributes:
        before: the whole image, upright, at most as large as was asked for.
        after: the pictures that would be written, in the order of the item's pieces.
        boxes: the corners, px of the image as it is shown, of what each of them shows.
    """

    before: Image
    after: tuple[Image, ...]
    boxes: tuple[Corners, ...]


def preview(item: Item, options: Options, *, most: int = 1024) -> Preview:
    """What would be made of an item of a plan, see :func:`~lora_tui.dataset.prepare.plan.plan_one`.

    What needs a neural network is done by a process of its own, which takes seconds to start.

    Args:
        most: px of the longer side of ``before``.

    Raises:
        UserError: the image cannot be decoded, or a part that is needed is missing.
    """
    if not options.heavy:
        return eyes_now().preview(item, options, most)
    size = _shown_size(item, most)
    before = eyes_now().picture(item.image.path, WHITE, size).resize((size.width, size.height))
    return Preview(before, *_apart(item, options))


def preview_here(item: Item, options: Options, most: int) -> Preview:
    """What :func:`preview` gives without neural networks, all of it decoded in this process."""
    size, facts = _shown_size(item, most), item.image.facts
    before = open_upright(item.image.path, at_least=size, planned=facts).resize((size.width, size.height))
    made = list(make(item, options))
    return Preview(before, tuple(one.picture for one in made), tuple(one.box for one in made))


def _shown_size(item: Item, most: int) -> Size:
    facts = item.image.facts
    scale = min(most / max(facts.width, facts.height), 1.0)
    return Size(max(round(facts.width * scale), 1), max(round(facts.height * scale), 1))


def _apart(item: Item, options: Options) -> tuple[tuple[Image, ...], tuple[Corners, ...]]:
    from PIL import Image

    facts = item.image.facts
    request = {"item": item_as_data(item), "pixels": facts.width * facts.height, "replace": (), "keep": ()}

    def requests() -> Iterator[tuple[None, dict[str, object]]]:
        yield None, request

    with tempfile.TemporaryDirectory(prefix="lora-tui-preview-") as name, Crew(1, Path(name), options) as crew:
        for _mark, reply in crew.run(requests()):
            if "error" in reply:
                error = reply["error"]
                raise UserError(error["message"], place=error["place"], remedy=error["remedy"], code=error["code"])
            pictures = []
            for file in reply["files"]:
                with Image.open(Path(name) / file["name"]) as picture:
                    pictures.append(picture.convert("RGB"))
            boxes = [(box[0], box[1], box[2], box[3]) for box in (file["box"] for file in reply["files"])]
            return tuple(pictures), tuple(boxes)
    raise AssertionError
