"""One file made of layers: reduced where that is wished for, written with what was kept of it, or only foretold."""

from __future__ import annotations

import resource
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.weights.operations.arrange import pending
from lora_tui.weights.operations.history import extended, joined, noted, with_ranks
from lora_tui.weights.operations.layers import Made, Thin, Whole
from lora_tui.weights.operations.output import ROOM, checked_target, write_layers
from lora_tui.weights.operations.reduce import HEADER_BYTES, Ledger, can_be_reduced, measured, reduced
from lora_tui.weights.operations.sources import Combined, Sources
from lora_tui.weights.operations.spectrum import Keep
from lora_tui.weights.work import Report

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
PRECISIONS = ("keep", *DTYPES)
ALL = Keep("frobenius", 1.0)
"""Every direction that there is."""


@dataclass(frozen=True)
class Making:
    """What is to be made.

    Attributes:
        dtype: of the matrices; none: that of the sources, the wider where two differ.
        keep: how many directions; none: all.
        entry, words: what is done, for the history and for the comment.
        preview: whether nothing is written.
    """

    target: Path
    sources: Sources
    entry: Mapping[str, Any]
    words: str
    dtype: torch.dtype | None = None
    keep: Keep | None = None
    force: bool = False
    preview: bool = False


def dtype_of(name: object) -> torch.dtype | None:
    """The type that a precision names; none for ``keep``.

    Raises:
        UserError: there is no such precision.
    """
    if name not in PRECISIONS:
        raise UserError(
            _("there is no precision {name}.").format(name=plain(str(name), limit=40)),
            remedy=_("Use one of: {names}.").format(names=", ".join(PRECISIONS)),
            code="lora.precision",
        )
    return DTYPES.get(str(name))


def make(wanted: Making, whole: Combined, report: Report, *, plainly: bool = False) -> dict[str, Any]:
    """Make the file of ``whole``, and say what came of it.

    Args:
        plainly: whether every layer becomes a plain LoRA; what cannot (norms, biases) is left out, and told.

    Raises:
        UserError: nothing is left, or the target is there or has no room.
        Stopped: somebody asked to.
        OSError: the disk is full or cannot be written.
    """
    begun = time.monotonic()
    sources, keep = wanted.sources, wanted.keep
    target = checked_target(wanted.target, [one.path for one in sources.files], force=wanted.force)
    tell_strange(sources, whole.left_out, report)
    layers, names = whole.layers, whole.names
    if plainly:
        layers, keep = without_others(layers, report), keep or ALL
    if not layers:
        raise _empty(target)
    made: Mapping[str, Made] = layers
    share = 1.0
    if keep is not None:
        made, changed, share = reduced(layers, keep, report, dtype=wanted.dtype, alpha=names.alpha)
        tell_biases(layers, changed, report)
        if not made:
            raise _empty(target)
    result = {
        "file": str(target),
        "family": sources.family,
        "layout": "as it was" if sources.as_read else sources.program,
        "layers": len(made),
        "ranks": ranks_of(made),
        "left_out": whole.left_out,
    }
    if wanted.preview:
        size = sum(pending(name, one, names, wanted.dtype).bytes + HEADER_BYTES for name, one in made.items())
        return {
            **result,
            "preview": True,
            "size": size + ROOM,
            "kept": share,
            "seconds": round(time.monotonic() - begun, 3),
        }
    ledger = Ledger()
    plans = [measured(name, made.get(name), one, names, wanted.dtype, ledger) for name, one in layers.items()]
    written = [plan for plan in plans if plan is not None]
    metadata = joined([one.adapter for one in sources.files])
    metadata = noted(metadata, wanted.entry, wanted.words)
    told = _Told(metadata, made, ledger)
    size = write_layers(target, written, metadata, report, force=wanted.force, told=told)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    took = round(time.monotonic() - begun, 3)
    return {**result, **ledger.as_dict(), "size": size, "seconds": took, "peak_memory": peak, "alphas": told.alphas()}


@dataclass(frozen=True)
class _Told:
    """The metadata that are known when all layers are made."""

    metadata: Mapping[str, str]
    made: Mapping[str, Made]
    ledger: Ledger

    def __call__(self) -> dict[str, str]:
        ranks = with_ranks(self.metadata, self.made, list(self.ledger.alphas.values()))
        return {**ranks, **extended(self.metadata, self.ledger.told())}

    def alphas(self) -> dict[str, int]:
        return {f"{alpha:g}": count for alpha, count in Counter(self.ledger.alphas.values()).most_common(8)}


def without_others(layers: Mapping[str, Made], report: Report) -> dict[str, Made]:
    """Those that can be a LoRA; whether others are left out is told."""
    found = {name: one for name, one in layers.items() if can_be_reduced(one)}
    if len(found) < len(layers):
        lost = [name for name in layers if name not in found]
        report.warn(
            UserError(
                _("{count} of its layers can be no LoRA and are left out, {name} for one.").format(
                    count=len(lost), name=plain(lost[0], limit=120)
                ),
                code="lora.left_out",
            )
        )
    return found


def tell_biases(layers: Mapping[str, Made], changed: Collection[str], report: Report) -> None:
    """Warn of what is added to biases and has no place in a LoRA."""
    lost = [name for name in changed if isinstance(one := layers[name], Whole) and one.bias is not None]
    if lost:
        report.warn(
            UserError(
                _("what is added to {count} biases is left out, {name} for one: a LoRA has none.").format(
                    count=len(lost), name=plain(lost[0], limit=120)
                ),
                code="lora.left_out",
            )
        )


def ranks_of(layers: Mapping[str, Made]) -> dict[str, int]:
    """How many layers have each rank; ``0`` counts those that have none."""
    found = Counter(str(one.rank) if isinstance(one, Thin) else "0" for one in layers.values())
    return dict(found.most_common())


def tell_strange(sources: Sources, left_out: Sequence[str], report: Report) -> None:
    """Warn of what the files hold and the new one will not."""
    for one in sources.files:
        if one.adapter.strange:
            names = one.adapter.strange
            report.warn(
                UserError(
                    _("{count} of its tensors are part of no layer and are left out, {name} for one.").format(
                        count=len(names), name=plain(names[0], limit=120)
                    ),
                    place=plain(str(one.path)),
                    code="lora.strange",
                )
            )
    if left_out:
        report.warn(
            UserError(
                _("{count} layers that the layout has no names for are left out, {name} for one.").format(
                    count=len(left_out), name=plain(left_out[0], limit=120)
                ),
                code="lora.left_out",
            )
        )


def _empty(target: Path) -> UserError:
    return UserError(
        _("nothing would be left: no layer adds anything."),
        place=plain(str(target)),
        remedy=_("Give strengths that are not 0, and keep more."),
        code="lora.empty",
    )
