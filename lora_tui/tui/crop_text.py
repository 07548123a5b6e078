"""A part of an image in words: its numbers, the bucket that it gets, what is cut away. Knows no widget."""

from __future__ import annotations

from dataclasses import dataclass

from lora_tui.dataset.buckets import Box, Fit, Size
from lora_tui.dataset.cropping import Ratio, cut_of, ratio_of
from lora_tui.text import N_, _, count
from lora_tui.tui.cells import Cell, fit
from lora_tui.tui.marks import Marks

LABEL = 9
"""Cells of what stands before a number."""

STEPS = (N_("1 px"), N_("8 px"), N_("a cell, {pixels} px"), N_("a tenth, {pixels} px"))
"""How far a key moves, finest first."""


@dataclass(frozen=True)
class Seen:
    """All that is told of a part: the image and what is chosen of it, the shape that is kept (or none), what a key
    moves by (as words), what is trained of it, and what was chosen before the person came here."""

    image: Size
    box: Box
    ratio: Ratio | None
    step: str
    fit: Fit | None
    before: Box | None


def number_lines(seen: Seen, marks: Marks) -> list[list[Cell]]:
    """The panel beside the picture, line by line."""
    box, image = seen.box, seen.image
    share = box.width * box.height / (image.width * image.height)
    lines = [
        _line(_("part"), size_text(box.size), "strong"),
        _line(_("corner"), f"{box.left}, {box.top}"),
        _line(_("image"), size_text(image)),
        _line(_("used"), _share(share)),
        _line(_("shape"), _shape_words(seen), "accent" if seen.ratio else ""),
        _line(_("moves by"), seen.step),
        [],
    ]
    if seen.fit is not None:
        lines += _trained_lines(box, seen.fit, marks)
    lines += [[], _line(_("was"), size_text(seen.before.size) if seen.before else _("the whole image"), "muted")]
    return lines


def _shape_words(seen: Seen) -> str:
    """The shape that is kept; a part of another image may not have it before a key makes it larger or smaller."""
    if seen.ratio is None:
        return _("any")
    text = ratio_text(seen.ratio)
    return text if ratio_of(seen.box.size) == seen.ratio else _("{ratio} when resized").format(ratio=text)


def _trained_lines(box: Box, fit_: Fit, marks: Marks) -> list[list[Cell]]:
    cut = cut_of(box, fit_)
    lines = [_line(_("bucket"), f"{fit_.bucket.width}x{fit_.bucket.height}", "strong")]
    if cut.scale > 1.005:
        words = _("{factor} times").format(factor=f"{cut.scale:.2f}")
        lines.append([Cell(fit(_("enlarged"), LABEL), "warning"), Cell(f"{marks.needs} {words}", "warning")])
    else:
        lines.append(_line(_("scaled"), _("to {share}%").format(share=f"{100 * cut.scale:.0f}")))
    if cut.share < 0.0005:
        lines.append(_line(_("cut away"), _("nothing"), "success"))
    else:
        lines.append(_line(_("cut away"), _share(cut.share, exact=True)))
        if cut.across:
            lines.append(_line("", _("{pixels} px in width").format(pixels=count(cut.across)), "muted"))
        if cut.down:
            lines.append(_line("", _("{pixels} px in height").format(pixels=count(cut.down)), "muted"))
    return lines


def size_text(size: Size) -> str:
    """Width and height."""
    return f"{size.width} x {size.height} px"


def ratio_text(ratio: Ratio) -> str:
    """A shape, such as ``2:3``."""
    return f"{ratio[0]}:{ratio[1]}"


def _share(share: float, *, exact: bool = False) -> str:
    return f"{100 * share:.1f}%" if exact and share < 0.1 else f"{100 * share:.0f}%"


def _line(label: str, words: str, tone: str = "") -> list[Cell]:
    return [Cell(fit(label, LABEL), "muted"), Cell(words, tone)]
