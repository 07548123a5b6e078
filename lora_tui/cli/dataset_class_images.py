"""``lora-tui dataset class-images``: regularisation images drawn with the base model that will be trained on."""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.text import _


def build(commands: Any) -> None:
    parser = commands.add_parser(
        "class-images", help=_("draw images of the class with the base model, for regularisation")
    )
    parser.add_argument("directory", metavar="DIR", type=Path, help=_("the folder that they are written to"))
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE", help=_("take base model and size of this configuration")
    )
    parser.add_argument("--prompt", required=True, metavar="TEXT", help=_("what to draw, without the trigger: a woman"))
    parser.add_argument("--negative", default="", metavar="TEXT", help=_("what to avoid"))
    parser.add_argument("--count", type=int, default=100, metavar="N", help=_("how many there shall be"))
    parser.add_argument("--size", type=int, default=0, metavar="PX", help=_("width and height; else the resolution"))
    parser.add_argument("--steps", type=int, default=25, metavar="N", help=_("denoising steps"))
    parser.add_argument(
        "--guidance", type=float, default=7.0, metavar="G", help=_("how closely the prompt is followed")
    )
    parser.add_argument("--seed", type=int, default=42, metavar="N", help=_("the same seed draws the same images"))
    parser.add_argument("--json", action="store_true", help=_("print one JSON document"))
    parser.set_defaults(action=_draw)


def _draw(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.text import count, plain

    asked = _asked(args)
    paths, failed, status = _drawn(asked, json_wanted=args.json)
    if failed:
        raise UserError(failed["message"], place=failed["place"], remedy=failed["remedy"], code=failed["code"])
    if status:
        return 1
    if args.json:
        print_json({"images": paths, "prompt": args.prompt, "size": asked["sample"]["width"]})
        return 0
    words = _("{count} images of the class are in {folder}.")
    say(words.format(count=count(len(paths)), folder=plain(str(args.directory))))
    say(_("Name the folder under [[datasets]] with regularisation = true."))
    return 0


def _asked(args: argparse.Namespace) -> dict[str, Any]:
    """What the process that draws is told.

    Raises:
        UserError: the configuration cannot be read, or an argument is not allowed.
    """
    from lora_tui.config.load import load_config
    from lora_tui.config.schema import SamplePrompt, as_plain
    from lora_tui.families import facts_for

    config = load_config(args.config)
    multiple = facts_for(config.model.family).size_multiple
    side = args.size or config.data.resolution - config.data.resolution % multiple
    fits = side % multiple == 0 and 64 <= side <= 4096 and 1 <= args.steps <= 1000 and 0 <= args.guidance <= 100
    if not fits or not 1 <= args.count <= 100_000 or not args.prompt.strip():
        raise UserError(
            _(
                "A prompt, 1 to 100,000 images and a size of 64 to 4096 px, a multiple of {multiple}, are needed."
            ).format(multiple=multiple),
            place="dataset class-images",
            code="usage",
        )
    sample = SamplePrompt(
        prompt=args.prompt, negative=args.negative, width=side, height=side, steps=args.steps, guidance=args.guidance,
        seed=args.seed % 2**32,
    )  # fmt: skip
    folder = str(args.directory.absolute())
    return {"config": as_plain(config), "folder": folder, "sample": sample.model_dump(), "count": args.count}


def _drawn(asked: dict[str, Any], *, json_wanted: bool) -> tuple[list[str], dict[str, str], int]:
    """The images that are there once the process has drawn, what it failed with, and its exit status."""
    from lora_tui.cli.dataset import _progress
    from lora_tui.python import python_command

    paths: list[str] = []
    failed: dict[str, str] = {}
    command = python_command("-m", "lora_tui.sampling.class_images")
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
        _progress(_("drawing"), asked["count"], json_wanted) as progress,
    ):
        assert process.stdin is not None and process.stdout is not None
        try:
            json.dump(asked, process.stdin)
            process.stdin.close()
            for line in process.stdout:
                told = json.loads(line)
                failed = told.get("error", failed)
                if "path" in told:
                    paths.append(told["path"])
                    progress.update(len(paths))
        except BaseException:
            process.terminate()
            raise
    return paths, failed, process.returncode
