"""Items of a plan as JSON, for the processes that carry it out. Nothing is pickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.facts import ImageFacts
from lora_tui.dataset.prepare.carried import Mask
from lora_tui.dataset.prepare.geometry import Fitted
from lora_tui.dataset.prepare.plan import Item, Piece
from lora_tui.dataset.scan import DatasetImage


def item_as_data(item: Item) -> dict[str, Any]:
    """An item as JSON can hold it; names that are no UTF-8 keep their lone surrogates."""
    image = item.image
    return {
        "path": str(image.path),
        "relative": image.relative,
        "facts": list(astuple(image.facts)),
        "number": item.number,
        "pieces": [_piece_as_data(piece) for piece in item.pieces],
        "copies": [list(copy) for copy in item.copies],
        "mask": None if item.mask is None else str(item.mask.path),
    }


def item_of(data: Mapping[str, Any]) -> Item:
    """The item that :func:`item_as_data` gave, with what it takes to carry it out."""
    image = DatasetImage(Path(data["path"]), data["relative"], 0, 1, ImageFacts(*data["facts"]), None)
    return Item(
        image,
        data["number"],
        tuple(_piece_of(piece) for piece in data["pieces"]),
        tuple((path, name) for path, name in data["copies"]),
        None if data["mask"] is None else Mask(Path(data["mask"])),
    )


def _piece_as_data(piece: Piece) -> dict[str, Any]:
    fitted = piece.fitted
    return {
        "name": piece.name,
        "flipped": piece.flipped,
        "mask": piece.mask_name,
        "part": list(astuple(fitted.part)),
        "size": list(astuple(fitted.size)),
        "kept": list(fitted.kept),
        "content": list(astuple(fitted.content)),
        "at": [fitted.left, fitted.top],
    }


def _piece_of(data: Mapping[str, Any]) -> Piece:
    kept = float(data["kept"][0]), float(data["kept"][1])
    fitted = Fitted(Box(*data["part"]), Size(*data["size"]), kept, Size(*data["content"]), *data["at"])
    return Piece(data["name"], fitted, data["flipped"], data["mask"])
