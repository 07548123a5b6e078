"""``python -m tools.pictures WHAT …``: write one picture of the documentation."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from PIL import Image


def _strengths(options: argparse.Namespace) -> Image.Image:
    from tools.pictures.sheets import strengths

    return strengths(options.run, options.prompt, options.seed)


def _dataset(options: argparse.Namespace) -> Image.Image:
    from tools.pictures.sheets import dataset

    return dataset(options.folder)


def _captions(options: argparse.Namespace) -> Image.Image:
    from tools.pictures.sheets import captions

    return captions(options.count)


def _training(options: argparse.Namespace) -> Image.Image:
    os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", TEXTUAL_COLOR_SYSTEM="truecolor")
    os.environ.pop("NO_COLOR", None)
    from tools.pictures.screen import training_screen

    return training_screen(options.project, options.run, *map(int, options.size.split("x")))


def main() -> int:
    """Draw and write."""
    parser = argparse.ArgumentParser(prog="python -m tools.pictures", description=__doc__)
    kinds = parser.add_subparsers(required=True, metavar="WHAT")
    strengths = kinds.add_parser("strengths", help="the checkpoints of a run at several strengths")
    strengths.add_argument("run", type=Path)
    strengths.add_argument("out", type=Path)
    strengths.add_argument("--prompt", default="", help="instead of the run's first sample prompt")
    strengths.add_argument("--seed", type=int, help="instead of that prompt's")
    strengths.set_defaults(draw=_strengths)
    dataset = kinds.add_parser("dataset", help="the images of a folder")
    dataset.add_argument("folder", type=Path)
    dataset.add_argument("out", type=Path)
    dataset.set_defaults(draw=_dataset)
    captions = kinds.add_parser("captions", help="what the micro model draws from captions it was never trained on")
    captions.add_argument("out", type=Path)
    captions.add_argument("--count", type=int, default=40)
    captions.set_defaults(draw=_captions)
    training = kinds.add_parser("training", help="the app's training screen on a run")
    training.add_argument("project", type=Path)
    training.add_argument("run", type=Path)
    training.add_argument("out", type=Path)
    training.add_argument("--size", default="104x30", help="columns x rows of the terminal")
    training.set_defaults(draw=_training)
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from tools.pictures.cells import save

    save(options.draw(options), options.out)
    print(options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
