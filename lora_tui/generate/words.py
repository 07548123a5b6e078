"""An order in words, the same for the command and the screen. Knows no torch."""

from __future__ import annotations

from lora_tui.config.samplers import A1111, AUTOMATIC, SPACINGS
from lora_tui.generate.ask import Order
from lora_tui.grids.cell import Cell, short
from lora_tui.grids.outlook import Outlook, cost_lines
from lora_tui.text import _, count, ngettext, plain


def lines(order: Order, seen: Outlook) -> list[str]:
    """What will be drawn and what that takes, before it is."""
    number = len(order.cells)
    head = ngettext("{count} picture in {folder}", "{count} pictures in {folder}", number)
    first = order.cells[0]
    ways = list(dict.fromkeys(map(way_text, order.cells)))
    more = f" (+{len(ways) - 1})" if len(ways) > 1 else ""
    return [
        head.format(count=count(number), folder=plain(folder_text(order), limit=200)),
        f"{plain(short(first.base), limit=80)}  {loras_text(first)}",
        ways[0] + more,
        *cost_lines(seen),
        *order.notes,
    ]


def folder_text(order: Order) -> str:
    """Where the pictures go: from the project on, if they stay in it."""
    inside = order.folder.is_relative_to(order.project)
    return str(order.folder.relative_to(order.project)) if inside else str(order.folder)


def loras_text(cell: Cell) -> str:
    """The LoRA files of a cell with their strengths, or that there is none."""
    told = []
    for one in cell.loras:
        strength = f"{one.strength:g}" if one.text is None else f"{one.strength:g}/{one.text:g}"
        told.append(" ".join(filter(None, (one.path.stem, strength, one.blocks))))
    return plain(" + ".join(told), limit=200) or _("without a LoRA")


def way_text(cell: Cell) -> str:
    """How a cell is drawn."""
    return _("{width} x {height} px, {steps} steps, {sampler}, guidance {guidance}").format(
        width=cell.width, height=cell.height, steps=cell.steps, sampler=A1111.get(cell.sampler, cell.sampler),
        guidance=f"{cell.guidance:g}",
    ) + (f", {SPACINGS[cell.spacing]}" if cell.spacing != AUTOMATIC else "")  # fmt: skip
