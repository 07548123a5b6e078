"""LoRA operations against the way of dense matrices: a layer made whole, decomposed whole, and cut."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from lora_tui.bench import lora_full, lora_info
from lora_tui.bench.common import Measure, median_interval, tell, timed
from lora_tui.errors import UserError
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from torch import Tensor

    from lora_tui.weights.delta import Factors

SPEED_BAR, ERROR_BAR = 100.0, 1e-5
CUT = 8
"""The rank that a layer is cut to."""


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--width", type=int, default=3072, help=_("of the layer"))
    parser.add_argument("--rank", type=int, default=32, help=_("of the LoRA"))
    parser.add_argument("--times", type=int, default=2, help=_("how often the dense way is measured"))
    parser.add_argument(
        "--skip-full", action="store_true", help=_("no checkpoint of full size, which takes 7 GB of disk")
    )
    parser.add_argument("--threads", type=int, default=0, help=_("of the calculation; 0 for what suits"))


def measure(args: argparse.Namespace) -> Iterator[Measure]:
    """Resize and merge, measured in turns with the dense way.

    Raises:
        UserError: the numbers are too small.
    """
    import torch

    if min(args.times, args.rank) < 1 or args.width < max(args.rank, CUT):
        raise UserError(_("The layer must be wider than its rank."), code="bench.lora")
    if args.threads:
        torch.set_num_threads(args.threads)
    one, other = (_random(args.width, args.rank, seed) for seed in (1, 2))
    said = _("{width} wide, rank {rank} to {cut}").format(width=args.width, rank=args.rank, cut=CUT)
    yield from _against(_("resize"), said, lambda: _resized(one), lambda: _cut(one.dense()), args.times)
    yield from _against(
        _("merge of two"),
        said,
        lambda: _merged(one, other),
        lambda: _cut(one.dense() * 0.7 - other.dense() * 0.4),
        args.times,
    )
    yield from lora_info.measure()
    if not args.skip_full:
        yield from lora_full.measure()


def _against(
    name: str, said: str, ours: Callable[[], Tensor], dense: Callable[[], Tensor], times: int
) -> Iterator[Measure]:
    """How many times as fast, and how far apart the results are."""
    ratios: list[float] = []
    found: list[Tensor] = []
    ours()  # the first call makes the threads
    for number in range(times):
        tell(_("{name}: the dense way, {number} of {count} …").format(name=name, number=number + 1, count=times))
        slow = timed(lambda: found.append(dense()))
        quick = sorted(timed(ours) for _time in range(9))[4]
        ratios.append(slow / quick)
    median, low, high = median_interval(ratios)
    yield Measure(
        _("LoRA {name}: times as fast as dense SVD").format(name=name),
        median,
        "ratio",
        bar=SPEED_BAR,
        least=True,
        low=low,
        high=high,
        detail=said,
    )
    error = float((ours() - found[-1]).norm() / found[-1].norm())
    title = _("LoRA {name}: difference to the dense way").format(name=name)
    yield Measure(title, error, "number", bar=ERROR_BAR, detail=said)


def _random(width: int, rank: int, seed: int) -> Factors:
    """Two matrices whose product has singular values that fall as those of a trained LoRA."""
    import torch

    from lora_tui.weights.delta import Factors

    generator = torch.Generator().manual_seed(seed)
    falling = 0.85 ** torch.arange(rank)
    up = torch.randn(width, rank, generator=generator) * falling
    return Factors(up, torch.randn(rank, width, generator=generator), (width, width))


def _resized(found: Factors) -> Tensor:
    """The product of what is kept; the multiplication is a small part of the time."""
    from lora_tui.weights.operations.spectrum import decomposed

    kept = decomposed(found).first(CUT)
    return kept.up @ kept.down


def _merged(one: Factors, other: Factors) -> Tensor:
    import torch

    from lora_tui.weights.delta import Factors

    up = torch.cat([one.up * 0.7, other.up * -0.4], dim=1)
    return _resized(Factors(up, torch.cat([one.down, other.down]), one.shape))


def _cut(whole: Tensor) -> Tensor:
    """As other programs do it: all singular vectors of the whole matrix, then the first ones."""
    import torch

    left, values, right = torch.linalg.svd(whole)
    return (left[:, :CUT] * values[:CUT]) @ right[:CUT]
