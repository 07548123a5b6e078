"""``lora-tui dataset class-images``: regularisation images drawn with the base model that will be trained on."""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

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
    from lora_tui.cli.dataset import _progress
    from lora_tui.cli.output import print_json, say
    from lora_tui.config.load import load_config
    from lora_tui.config.schema import SamplePrompt, as_plain
    from lora_tui.errors import UserError
    from lora_tui.families import facts_for
    from lora_tui.python import python_command
    from lora_tui.text import count, plain

    config = load_config(args.config)
    multiple = facts_for(config.model.family).size_multiple
    side = args.size or config.data.resolution - config.data.resolution % multiple
    if side % multiple or not 64 <= side <= 4096 or not 1 <= args.count <= 100_000 or not args.prompt.strip():
        raise UserError(
            _(
                "A prompt, 1 to 100,000 images and a size of 64 to 4096 px, a multiple of {multiple}, are needed."
            ).format(multiple=multiple),
            place="dataset class-images",
            code="usage",
        )
    sample = SamplePrompt(
        prompt=args.prompt, negative=args.negative, width=side, height=side, steps=args.steps, guidance=args.guidance,
        seed=args.seed,
    )  # fmt: skip
    asked = {
        "config": as_plain(config),
        "folder": str(args.directory.absolute()),
        "sample": sample.model_dump(),
        "count": args.count,
    }
    paths: list[str] = []
    failed: dict[str, str] | None = None
    command = python_command("-m", "lora_tui.sampling.class_images")
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
        _progress(_("drawing"), args.count, args.json) as progress,
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
    if failed is not None:
        raise UserError(failed["message"], place=failed["place"], remedy=failed["remedy"], code=failed["code"])
    if process.returncode:
        return 1
    if args.json:
        print_json({"images": paths, "prompt": args.prompt, "size": side})
    else:
        say(_("{count} images of the class are in {folder}.").format(
            count=count(len(paths)), folder=plain(str(args.directory))
        ))  # fmt: skip
        say(_("Name the folder under [[datasets]] with regularisation = true."))
    return 0
