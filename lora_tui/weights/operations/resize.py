"""``lora resize``: a file with fewer directions in each layer, and what files of each size would keep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.weights.ingredients import Ingredient
from lora_tui.weights.operations.making import Making, dtype_of, make
from lora_tui.weights.operations.reduce import Decomposed, spectra_of
from lora_tui.weights.operations.sources import combined, open_sources
from lora_tui.weights.operations.spectrum import Keep, Rule, curve, of_ranks
from lora_tui.weights.work import Report

RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Those of which the curve tells."""


def work(options: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Resize a file.

    Args:
        options: ``source``, ``target`` (empty: only the curve), ``keep`` (see :func:`keep_of`), ``precision``,
            ``family``, ``force``, ``preview``, and ``curve`` whether that is wanted, too.

    Raises:
        UserError: as :func:`~lora_tui.weights.operations.making.make`, or the options are wrong.
    """
    source = Path(str(options["source"]))
    dtype = dtype_of(options.get("precision", "keep"))
    sources = open_sources([Ingredient(source)], family=str(options.get("family", "")))
    whole = combined(sources)
    found: dict[str, Any] = {"source": str(source), "source_size": source.stat().st_size}
    if options.get("curve"):
        spectra, rest = spectra_of(whole.layers, Decomposed(whole.layers), report, dtype)
        most = max((len(one.values) for one in spectra.values()), default=0)
        ranks = [rank for rank in RANKS if rank < most] + ([most] if most else [])
        found["curve"] = [[point.size, point.kept] for point in curve(spectra, rest=rest)]
        found["uniform"] = [[one.rank, one.size, one.kept] for one in of_ranks(spectra, ranks, rest=rest)]
    if not options.get("target"):
        return found
    keep = keep_of(options.get("keep"))
    assert keep is not None
    wanted = Making(
        Path(str(options["target"])),
        sources,
        entry={"operation": "resize", "source": source.name, "keep": _told(keep)},
        words=f"resized by {keep.rule} {keep.value:g}",
        dtype=dtype,
        keep=keep,
        force=bool(options.get("force")),
        preview=bool(options.get("preview")),
    )
    return {**found, **make(wanted, whole, report)}


def keep_of(options: Any, *, needed: bool = True) -> Keep | None:
    """How much is kept, from ``{"rule": …, "value": …, "most": …, "most_conv": …}``.

    Raises:
        UserError: it is none (``lora.keep``).
    """
    if not options and not needed:
        return None
    try:
        rule, value = str(options["rule"]), float(options["value"])
        most, conv = int(options.get("most") or 0), int(options.get("most_conv") or 0)
    except (TypeError, KeyError, ValueError, AttributeError):
        raise _wrong(_("nothing says how much is kept.")) from None
    good = {
        "rank": 1 <= value < 1 << 20 and value == int(value),
        "ratio": value >= 1,
        "cumulative": 0 < value <= 1,
        "frobenius": 0 < value <= 1,
        "size": 0 < value < 1e9,
    }
    if rule not in get_args(Rule) or not good[rule]:
        raise _wrong(_("{rule} {value} is none.").format(rule=plain(rule, limit=20), value=f"{value:g}"))
    if most < 0 or conv < 0:
        raise _wrong(_("a rank is 1 or more."))
    return Keep(rule, value, most, conv)  # type: ignore[arg-type]


def _told(keep: Keep) -> dict[str, Any]:
    return {name: value for name, value in vars(keep).items() if value}


def _wrong(message: str) -> UserError:
    return UserError(
        message,
        remedy=_("Give a rank, a ratio from 1 on, a share between 0 and 1, or a size in MB."),
        code="lora.keep",
    )
