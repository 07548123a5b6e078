"""What the list of LoRA files shows of the one under its cursor: facts, tags, its run and its picture.

Reads from disk and blocks: called in a thread, gives frozen data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.loras.files import LoraFile
from lora_tui.loras.origin import Origin, picture_of, run_of
from lora_tui.text import _, bytes_text, count, plain
from lora_tui.tui.cells import Cell, flow, wrap
from lora_tui.tui.marks import Marks
from lora_tui.weights.header.loras import LoraInfo, lora_info
from lora_tui.weights.header.story import tags_of
from lora_tui.weights.header.told import info_lines, metadata_lines

Line = tuple[Cell, ...]
TAGS_IN_FULL = 200


@dataclass(frozen=True)
class LoraDetails:
    """One file, looked at closely.

    Attributes:
        info: none where ``problem`` says why.
        tags: with the number of captions that have each, the commonest first.
        origin: the run that wrote it; none where that is not known.
        picture: what shows it; none where there is none.
    """

    file: LoraFile
    info: LoraInfo | None = None
    problem: UserError | None = None
    tags: tuple[tuple[str, int], ...] = ()
    origin: Origin | None = None
    picture: Path | None = None


def read_lora_details(file: LoraFile, others: Sequence[LoraFile]) -> LoraDetails:
    """Look at a file; ``others`` are those of which one may be the copy that lies in its run."""
    origin = run_of(file, others)
    picture = picture_of(file, origin)
    try:
        info = lora_info(file.path)
    except UserError as error:
        return LoraDetails(file, problem=error, origin=origin, picture=picture)
    return LoraDetails(file, info, None, tuple(tags_of(info.metadata)), origin, picture)


def detail_lines(details: LoraDetails, marks: Marks, width: int) -> list[Line]:
    """The facts of a file, for a narrow pane."""
    file, info = details.file, details.info
    lines: list[Line] = [(Cell(part, "strong"),) for part in wrap(plain(file.name), width, 2, ellipsis=marks.ellipsis)]
    if info is None:
        problem = details.problem
        for text, tone in ((problem.message, "error"), (problem.remedy, "")) if problem else ():
            lines += [(Cell(part, tone),) for part in wrap(plain(text), width, 4, ellipsis=marks.ellipsis) if text]
        return lines
    kind = [info.family, info.kind, _("{layout} names").format(layout=info.layout)]
    lines += [(Cell(part),) for part in flow(kind, width, f" {marks.dot} ")]
    numbers = [_("rank {rank}").format(rank=_several(info.ranks))] if info.ranks else []
    numbers += [_("alpha {alpha}").format(alpha=_several(info.alphas))] if info.alphas else [_("no alpha")]
    numbers += [info.dtype, bytes_text(info.size)]
    lines += [(Cell(part, "muted"),) for part in flow(numbers, width, _(", "))]
    for title, text, tone in _told(details):
        head = f"{title}  "
        parts = wrap(head + text, width, 2, ellipsis=marks.ellipsis)
        lines.append((Cell(head, "muted"), Cell(parts[0].removeprefix(head), tone)))
        lines += [(Cell(part, tone),) for part in parts[1:]]
    if details.tags:
        words = [f"{plain(tag, limit=40)} {count(number)}" for tag, number in details.tags[:20]]
        lines += [(Cell(part, "muted"),) for part in flow(words, width, "  ")[:3]]
    return lines


def _told(details: LoraDetails) -> list[tuple[str, str, str]]:
    """Title, text and tone of what the file says of itself."""
    file = details.file
    found = []
    if file.triggers:
        found.append((_("trigger"), plain(", ".join(file.triggers), limit=200), "accent"))
    if file.base:
        found.append((_("base"), plain(file.base, limit=200), ""))
    if details.origin is not None:
        text = plain(details.origin.run.name)
        step = details.origin.step
        found.append((_("run"), f"{text} @{count(step)}" if step else text, ""))
    elif file.step:
        found.append((_("step"), count(file.step), ""))
    return found


def _several(values: dict[int, int] | dict[float, int]) -> str:
    """One value as itself, several as the smallest and the largest."""
    low, high = min(values), max(values)
    return f"{low:g}" if low == high else f"{low:g}-{high:g}"


def full_lines(details: LoraDetails) -> list[str]:
    """All that the file says of itself, to be read."""
    lines = [str(details.file.path), ""]
    if details.info is None:
        problem = details.problem
        return [*lines, *((problem.message, problem.remedy) if problem else ())]
    lines += [f"{title:<16} {value}" for title, value in info_lines(details.info)]
    if details.origin is not None:
        lines.append(f"{_('run'):<16} {details.origin.run.root}")
    return [*lines, "", *metadata_lines(details.info.metadata)]


def tag_lines(details: LoraDetails) -> list[str]:
    """The tags, a line each."""
    return [f"{count(number):>7}  {tag}" for tag, number in details.tags]
