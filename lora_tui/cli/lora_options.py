"""What commands that make LoRA files share: how much is kept, names, precision; and what came of it in words."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_tui.text.translate import _

PRECISIONS = ("keep", "fp32", "fp16", "bf16")
LAYOUTS = ("kohya", "diffusers", "peft", "ai-toolkit", "onetrainer", "comfyui")
_MOST_LAYERS = 5
"""Layers that are named: those of which most is missing."""


def add_keep(parser: argparse.ArgumentParser) -> None:
    """How much is kept: one of five rules, and limits of ranks."""
    group = parser.add_argument_group(_("how much is kept"))
    one = group.add_mutually_exclusive_group()
    one.add_argument("--rank", type=float, metavar="8", default=None, help=_("as many directions in every layer"))
    one.add_argument("--ratio", type=float, metavar="20", default=None, help=_(
        "singular values down to the largest divided by this"
    ))  # fmt: skip
    one.add_argument("--cumulative", type=float, metavar="0.9", default=None, help=_(
        "as few as add up to this share of the sum of singular values"
    ))  # fmt: skip
    one.add_argument("--frobenius", type=float, metavar="0.95", default=None, help=_(
        "as few as have this share of the norm"
    ))  # fmt: skip
    one.add_argument("--size", type=float, metavar="MB", default=None, help=_(
        "a file of so many MB, spread best over the layers"
    ))  # fmt: skip
    group.add_argument("--most", type=int, metavar="64", default=0, help=_("no layer gets a higher rank"))
    group.add_argument("--conv-rank", type=int, metavar="4", default=0, help=_("the same for convolutions"))


def keep_of(args: argparse.Namespace) -> dict[str, Any] | None:
    """What :func:`add_keep` was given; none where no rule was."""
    for rule in ("rank", "ratio", "cumulative", "frobenius", "size"):
        value = getattr(args, rule)
        if value is not None:
            return {"rule": rule, "value": value, "most": args.most, "most_conv": args.conv_rank}
    return None


def add_base(parser: argparse.ArgumentParser, words: str) -> None:
    """A model that is measured upon, and the family where files do not tell it."""
    parser.add_argument("--base", type=Path, metavar="BASE", default=None, help=words)
    add_family(parser)


def add_family(parser: argparse.ArgumentParser) -> None:
    """Which family it is."""
    parser.add_argument("--family", metavar="FAMILY", default="", help=_("where the files do not tell"))


def add_presets(parser: argparse.ArgumentParser) -> None:
    """Block weights of one's own, for every command that takes block weights."""
    parser.add_argument(
        "--presets", type=Path, metavar="FILE", default=None, help=_("block weights of one's own: lines NAME:1,0,0.5,…")
    )


def add_loras(parser: argparse.ArgumentParser) -> None:
    """LoRA files with their strengths."""
    parser.add_argument("loras", metavar="LORA", nargs="+", help=_(
        "FILE, FILE=0.8, FILE=0.8,0.5 (text encoders apart), FILE=0.8:BLOCKS"
    ))  # fmt: skip
    add_presets(parser)


def add_text(parser: argparse.ArgumentParser) -> None:
    """Leave the text encoders out; under either of the names that there are for it."""
    parser.add_argument(
        "--without-text", "--no-text-encoder", action="store_true", help=_("leave out the text encoders")
    )


def add_writing(parser: argparse.ArgumentParser) -> None:
    """How a file is made or only foretold."""
    parser.add_argument("--force", action="store_true", help=_("write over a file OUT that is there"))
    parser.add_argument("--dry-run", action="store_true", help=_("say what it would come to, and write nothing"))
    parser.add_argument("--json", action="store_true", help=_("what was done as JSON, layer by layer"))


def add_file(parser: argparse.ArgumentParser) -> None:
    """What all of them take for the file that is made."""
    parser.add_argument("--precision", choices=PRECISIONS, default="keep", help=_("of the matrices; keep: as they are"))
    add_family(parser)
    add_writing(parser)


def add_layout(parser: argparse.ArgumentParser, *, needed: bool = False) -> None:
    """Whose names the file gets."""
    words = _("whose names the layers get") if needed else _("whose names the layers get; else those of the first file")
    parser.add_argument("--to", choices=LAYOUTS, default="", help=words)
    parser.add_argument("--leave-out", action="store_true", help=_("leave out layers that the layout has no names for"))
    parser.add_argument("--base", type=Path, metavar="BASE", default=None, help=_(
        "the base model, for what is no sum without it: DoRA, OFT, (IA)^3, GLoRA"
    ))  # fmt: skip


def shared(args: argparse.Namespace) -> dict[str, Any]:
    """The options of :func:`add_file`, and of :func:`add_layout` where it was used."""
    found = {
        "precision": args.precision,
        "family": args.family,
        "force": args.force,
        "preview": args.dry_run,
        "keep": keep_of(args),
    }
    if hasattr(args, "to"):
        found |= {"to": args.to, "leave_out": args.leave_out, "base": absolute(args.base)}
    return found


def absolute(path: Path | None) -> str:
    """As the process that does the work finds it; links stay. Empty of none."""
    return os.path.abspath(path.expanduser()) if path is not None else ""  # noqa: PTH100


def layers_words(number: int) -> str:
    """So many layers."""
    from lora_tui.text.translate import ngettext

    return ngettext("{count} layer", "{count} layers", number).format(count=number)


def took_words(found: Mapping[str, Any]) -> str:
    """How long it took, and how much memory."""
    from lora_tui.text.formats import bytes_text, duration

    return "  " + _("{time}, at most {memory} of memory").format(
        time=duration(found["seconds"]), memory=bytes_text(found["peak_memory"])
    )


def unmeasured_lines(count: int) -> list[str]:
    """That layers were not measured for want of a base model; nothing where all were."""
    from lora_tui.text.translate import ngettext

    told = ngettext(
        "{count} layer is measured only upon a base model: give one with --base.",
        "{count} layers are measured only upon a base model: give one with --base.",
        count,
    )
    return [told.format(count=count)] if count else []


def lines(found: Mapping[str, Any]) -> list[str]:
    """What was made, or would be: its size, its ranks, and what was kept."""
    from lora_tui.text.formats import bytes_text
    from lora_tui.text.plain import plain
    from lora_tui.text.translate import ngettext

    size = bytes_text(found["size"])
    if found.get("source_size"):
        size = _("{size} of {before}").format(size=size, before=bytes_text(found["source_size"]))
    layers = layers_words(found["layers"])
    ranks = _ranks(found["ranks"])
    if found.get("preview"):
        told = [_("It would be written: {file}").format(file=plain(found["file"])), f"  {size}, {layers}, {ranks}"]
        if found["kept"] < 1 - 1e-6:
            told.append("  " + _("{kept} of the norm would be kept").format(kept=f"{found['kept']:.2%}"))
        return told
    told = [f"{plain(found['file'])}  {size}", f"  {layers}, {ranks}", f"  {kept_words(found)}"]
    if found["dropped"]:
        told.append("  " + ngettext(
            "{count} layer that adds too little is left out", "{count} layers that add too little are left out",
            found["dropped"],
        ).format(count=found["dropped"]))  # fmt: skip
    worst = sorted(found["layers_kept"], key=lambda layer: -layer["error"])[:_MOST_LAYERS]
    named = [
        f"    {layer['error']:8.3%}  {plain(layer['layer'], limit=90)}" for layer in worst if layer["error"] > 1e-4
    ]
    told += ["  " + _("most is missing of:"), *named] if named else []
    return [*told, took_words(found)]


def kept_words(found: Mapping[str, Any]) -> str:
    """How much of what was added is there, measured on the file."""
    if found["error"] < 1e-6:
        return _("exact: nothing is missing")
    return _("{kept} of the norm is kept; {error} is missing").format(
        kept=f"{found['kept']:.4%}", error=f"{found['error']:.4%}"
    )


def _ranks(ranks: Mapping[str, int]) -> str:
    own = {rank: count for rank, count in ranks.items() if rank != "0"}
    if not own:
        return _("no ranks")
    if len(own) == 1:
        return _("rank {rank}").format(rank=next(iter(own)))
    numbers = sorted(int(rank) for rank in own)
    return _("ranks {low} to {high}").format(low=numbers[0], high=numbers[-1])
