"""What drawing a grid takes: the order of its cells, and how often anything is loaded in it. Knows no torch.

The dearest change comes seldomest: base model, then LoRA files, their strengths, texts, the sampler and its settings,
seeds, and the VAE last, which only decodes again. A picture that stands at several places is drawn once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_tui.captions.tokens import ClipTokens
from lora_tui.captions.weighted import weighted_pieces
from lora_tui.config.schema import UNETS
from lora_tui.grids.cell import Cell
from lora_tui.grids.files import changes_text
from lora_tui.grids.needs import lora_uses, needs_negative, text_state

CHUNK = 75
BYTES_A_PIXEL = 1.7
"""Of a PNG of a drawn picture."""


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        cells: to draw, in order, each once.
        bases, loras, vaes, texts: how often each is loaded or encoded.
        steps: denoising steps of all cells.
        disk_bytes: about what the new pictures take.
    """

    cells: tuple[Cell, ...]
    bases: int
    loras: int
    vaes: int
    texts: int
    steps: int
    disk_bytes: int

    @property
    def pixels(self) -> int:
        """Of all denoising steps: what they cost is about proportional to it."""
        return sum(cell.width * cell.height * cell.steps for cell in self.cells)


def plan_of(
    cells: Iterable[Cell], family: str, own_vae: str = "", texts: Callable[[Path], bool] = changes_text
) -> Plan:
    """The plan for drawing ``cells``, those that are the same once.

    Args:
        own_vae: the VAE that the configuration names: it is no other one.
        texts: whether a LoRA file has layers for text encoders.
    """
    chosen = ordered(dict.fromkeys(cells))
    measure = chunks_of(family)
    encoded: set[tuple[object, ...]] = set()
    vaes, loras = set(), set()
    for cell in chosen:
        pair = [cell.prompt, cell.negative] if needs_negative(family, cell) else [cell.prompt]
        length = max(measure(text) for text in pair)
        encoded |= {(text_state(cell, texts), text, length) for text in pair}
        loras |= {(cell.base, use) for use in lora_uses(cell)}
        if cell.vae not in ("", own_vae):
            vaes.add((cell.base, cell.vae))
    return Plan(
        cells=tuple(chosen),
        bases=len({cell.base for cell in chosen}),
        loras=len(loras),
        vaes=len(vaes),
        texts=len(encoded),
        steps=sum(cell.steps for cell in chosen),
        disk_bytes=round(sum(cell.width * cell.height for cell in chosen) * BYTES_A_PIXEL),
    )


def ordered(cells: Iterable[Cell]) -> list[Cell]:
    """The cells in the order in which they load least; where that does not matter, in their own."""
    numbers: dict[object, int] = {}

    def number(what: object) -> int:
        """Values in the order in which they first come."""
        return numbers.setdefault(what, len(numbers))

    def cost(cell: Cell) -> tuple[int, ...]:
        paths = tuple(str(one.path) for one in cell.loras)
        return (
            number(("base", cell.base)),
            number(("loras", paths)),
            number(("strengths", cell.loras)),
            number(("clip skip", cell.clip_skip)),
            number(("texts", cell.prompt, cell.negative)),
            number(("way", cell.width, cell.height, cell.steps, cell.guidance, cell.sampler, cell.spacing)),
            number(("seed", cell.seed)),
            number(("vae", cell.vae)),
        )

    return sorted(cells, key=cost)


def together(cells: Sequence[Cell], most: int) -> Iterator[list[Cell]]:
    """Runs of at most ``most`` cells that one prediction can serve: only texts and seeds differ."""
    batch: list[Cell] = []
    for cell in cells:
        if batch and (len(batch) >= most or _way(cell) != _way(batch[0])):
            yield batch
            batch = []
        batch.append(cell)
    if batch:
        yield batch


def _way(cell: Cell) -> tuple[object, ...]:
    size = (cell.width, cell.height, cell.steps, cell.guidance, cell.sampler, cell.spacing)
    return cell.base, cell.vae, cell.clip_skip, cell.loras, size


def chunks_of(family: str) -> Callable[[str], int]:
    """How long rows of tokens are that a text needs, where CLIP cuts it; one length for all elsewhere."""
    if family not in UNETS:
        return lambda _text: 1
    known: dict[str, int] = {}
    tokens: list[ClipTokens] = []

    def measure(text: str) -> int:
        if len(text) <= CHUNK // 4:  # no token is shorter than a letter, nor a letter longer than four tokens
            return 1
        if text not in known:
            if not tokens:
                tokens.append(ClipTokens())
            count = sum(tokens[0].count(piece.text) for piece in weighted_pieces(text))
            known[text] = min(max(1, -(-count // CHUNK)), 3)
        return known[text]

    return measure


def seconds_of(plan: Plan, pace: Mapping[str, float], family: str) -> float | None:
    """How long drawing takes by what was seen on this machine (``pace``: seconds for a million pixels and a step, by
    family); none where nothing was."""
    known = pace.get(family)
    return plan.pixels / 1e6 * known if known else None
