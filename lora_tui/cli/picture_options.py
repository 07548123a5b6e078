"""What ``grid`` and ``generate`` both take: how pictures are drawn, and of which LoRA files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.grids.outlook import Outlook


def add(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    parser.add_argument("--negative", default=None, help=_("what to avoid"))
    parser.add_argument("--steps", type=int, default=None, metavar="N", help=_("denoising steps"))
    parser.add_argument(
        "--guidance", type=float, default=None, metavar="7", help=_("how closely the prompt is followed")
    )
    parser.add_argument("--sampler", default=None, metavar="NAME", help=_("such as DPM++ 2M Karras"))
    parser.add_argument("--schedule", default=None, metavar="TYPE", help=_("of noise levels, such as Exponential"))
    parser.add_argument("--size", default=None, metavar="512x768", help=_("of the pictures"))
    parser.add_argument("--vae", default=None, metavar="PATH", help=_("a VAE in the place of the model's own"))
    parser.add_argument("--clip-skip", type=int, default=None, metavar="N", help=_("which layer of CLIP is read"))
    parser.add_argument("--lora", action="append", default=[], metavar="FILE",
                        help=_("a LoRA: FILE, FILE=0.8, FILE=0.8,0.5 (text apart), FILE=0.8:BLOCKS; none"))  # fmt: skip
    parser.add_argument("--lora-dir", action="append", default=[], type=Path, metavar="DIR",
                        help=_("where LoRA files are found by name"))  # fmt: skip
    parser.add_argument("--presets", type=Path, default=None, metavar="FILE",
                        help=_("block weights of one's own: lines NAME:1,0,0.5,…"))  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help=_("a setting of the configuration, such as memory.device=cpu"))  # fmt: skip
    parser.add_argument("--dir", type=Path, default=Path(), metavar="DIR", help=_("the project to look in"))
    parser.add_argument("--json", action="store_true", help=_("print one JSON document"))


def wanted_of(args: argparse.Namespace) -> dict[str, Any]:
    """What they say, by the names of :class:`lora_tui.grids.ask.Wanted`."""
    names = ("negative", "steps", "guidance", "sampler", "schedule", "size", "vae", "clip_skip", "presets")
    return {
        "target": args.target, "here": args.dir, "loras": tuple(args.lora), "folders": tuple(args.lora_dir),
        "prompts": tuple(args.prompt), "changes": tuple(args.set), **{name: getattr(args, name) for name in names},
    }  # fmt: skip


def agreed(seen: Outlook, question: str, *, yes: bool) -> None:
    """Ask before what takes very long or very much.

    Raises:
        UserError: it was not agreed to (``grid.large``).
    """
    from lora_tui.cli.output import note
    from lora_tui.errors import UserError

    if yes or not seen.large:
        return
    if sys.stdin.isatty():
        note(question)
        if sys.stdin.readline().strip().casefold() in ("yes", "y", _("yes")):
            return
    raise UserError(seen.size_words(), remedy=_("Draw it with --yes, or give fewer values."), code="grid.large")
