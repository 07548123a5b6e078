"""Preparing, checking and tagging images against plain loops, on pictures that are made for it.

The pictures are like those that people train on: JPEG from cameras, PNG and WebP from screens, soft shapes with grain.
Both sides have one core, and take turns on the same part of the pictures, so that neither finds them warmer. All of the
pictures are checked; a share of them is prepared to PNG and another one to JPEG, which is the same work each time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.bench.common import Measure, paired, ratio_measure, tell, timed
from lora_tui.errors import UserError
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS = ((".jpg", 3000, 2250), (".png", 1024, 1024), (".jpg", 1200, 1600), (".webp", 1024, 768))
"""Ending, width and height (px) of the pictures, in turns: a camera, a screen, a site that shrinks, another one."""
GRAIN = 3200
"""Side of the picture of grain that every picture takes a part of, px."""
SIZE, STEP, QUALITY = 512, 64, 95
SHARES = 5
"""Folders that each part is divided into; the first is prepared to PNG, the second to JPEG."""
SPEED_OF_PREPARE, SPEED_OF_CHECK = 1.0, 0.8
SECONDS_OF_CHECK_AGAIN = 2.0
MEMORY = 600e6


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--images", type=int, default=10_000, help=_("how many pictures to make"))
    parser.add_argument("--pairs", type=int, default=10, help=_("parts that the pictures are measured in, in turns"))
    parser.add_argument("--tagged", type=int, default=200, help=_("how many pictures to tag; 0 for none"))
    parser.add_argument("--dir", type=Path, help=_("a folder on the disk to measure; else one for temporary files"))
    parser.add_argument("--keep", type=Path, help=_("a folder that keeps the pictures for the next time"))


def measure(args: argparse.Namespace) -> Iterator[Measure]:
    """Make the pictures, measure on them, remove what was made but the pictures that are kept.

    Raises:
        UserError: there are too few pictures to measure, or a library is missing.
    """
    if args.pairs < 1 or args.images < args.pairs or args.tagged < 0:
        raise UserError(_("At least one picture for each part is needed."), code="bench.dataset")
    with (
        tempfile.TemporaryDirectory(prefix="lora-tui-bench-", dir=args.dir) as name,
        _own_home(Path(name) / "home"),
        _one_core(),
    ):
        root = Path(name)
        kept = root if args.keep is None else args.keep
        pictures = kept / f"pictures-{args.images}-{args.pairs}"
        parts = make_pictures(pictures, args.images, args.pairs)
        for form in ("png", "jpeg"):
            yield _measure_prepare(parts, root, form)
        yield from _measure_check(parts, pictures, args.images)
        if args.tagged:
            yield from _measure_tagger(root, parts, args)


def make_pictures(folder: Path, images: int, parts: int, seed: int = 7) -> list[Path]:
    """Make ``images`` different pictures with captions, spread over ``parts`` folders of some folders; the former.

    Each picture depends on its number alone, and those that are there already are kept.
    """
    grain: Image | None = None
    folders = [folder / f"part{number:03}" for number in range(parts)]
    for number in range(images):
        if number % 500 == 0:
            tell(_("pictures: {done} of {total}").format(done=number, total=images))
        share, kind = divmod(number // parts, len(KINDS))
        ending, width, height = KINDS[kind]
        path = folders[number % parts] / str(share % SHARES) / f"{number:06}{ending}"
        caption = path.with_suffix(".txt")
        if caption.exists():  # written last
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        grain = grain or _grain()
        picture = _picture(random.Random(f"{seed} {number}"), grain, width, height)
        picture.save(path, quality=90, compress_level=1, method=0)  # levels of PNG and WebP: the quickest to write
        caption.write_text(f"hatgirl, picture {number}", "utf-8")
    return folders


def plain_prepare(source: Path, destination: Path, form: str) -> None:
    """What anybody would write: open, convert, resize to cover, crop at the centre, save; captions copied."""
    from PIL import Image

    destination.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        if path.suffix == ".txt":
            (destination / path.name).write_bytes(path.read_bytes())
            continue
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        short, long = sorted(picture.size)
        other = long * SIZE // short // STEP * STEP
        wanted = (SIZE, other) if picture.width <= picture.height else (other, SIZE)
        scale = max(wanted[0] / picture.width, wanted[1] / picture.height)
        cover = max(round(picture.width * scale), wanted[0]), max(round(picture.height * scale), wanted[1])
        picture = picture.resize(cover, Image.Resampling.LANCZOS)
        left, top = (cover[0] - wanted[0]) // 2, (cover[1] - wanted[1]) // 2
        picture = picture.crop((left, top, left + wanted[0], top + wanted[1]))
        if form == "png":
            picture.save(destination / f"{path.stem}.png")
        else:
            picture.save(destination / f"{path.stem}.jpg", quality=QUALITY, subsampling=0)


def plain_check(source: Path) -> list[bytes]:
    """What a script for duplicates does: open, decode, shrink to a few grey cells."""
    from PIL import Image

    found = []
    for path in sorted(source.rglob("*.*")):
        if path.suffix != ".txt":
            with Image.open(path) as opened:
                found.append(opened.convert("L").resize((17, 16), Image.Resampling.BOX).tobytes())
    return found


def _measure_prepare(parts: list[Path], root: Path, form: str) -> Measure:
    from lora_tui.dataset.prepare.carry import carry_out
    from lora_tui.dataset.prepare.options import Options
    from lora_tui.dataset.prepare.plan import make_plan

    options = Options(size=SIZE, step=STEP, format=form, quality=QUALITY)

    def ours(number: int, part: Path) -> None:
        outcome = carry_out(make_plan(part, options), root / f"ours-{form}-{number}", workers=1)
        if outcome.failed or not outcome.complete:
            raise UserError(outcome.failed[0].message if outcome.failed else "", code="bench.dataset")

    def plain(number: int, part: Path) -> None:
        plain_prepare(part, root / f"plain-{form}-{number}", form)

    shares = [_share(part, 0 if form == "png" else 1) for part in parts]
    name = _("prepare to {form} against a plain Pillow loop, on one core: speed").format(form=form.upper())
    return _speed(name, shares, ours, plain, SPEED_OF_PREPARE)


def _measure_check(parts: list[Path], whole: Path, images: int) -> Iterator[Measure]:
    from lora_tui.dataset.checks import check_dataset
    from lora_tui.dataset.scan import scan_folder

    def ours(_number: int, part: Path) -> None:
        check_dataset(scan_folder(part), decode=True)

    def plain(_number: int, part: Path) -> None:
        plain_check(part)

    name = _("check with decoding against a plain Pillow loop, on one core: speed")
    yield _speed(name, parts, ours, plain, SPEED_OF_CHECK)
    name = _("the same check of all {count} again, from what is kept").format(count=f"{images:,}")
    yield Measure(name, timed(lambda: ours(0, whole)), "s", bar=SECONDS_OF_CHECK_AGAIN)
    yield Measure(_("peak memory of checking them"), _peak(resource.RUSAGE_SELF), "bytes", bar=MEMORY)
    made = _("peak memory of a process that prepares images")
    yield Measure(made, _peak(resource.RUSAGE_CHILDREN), "bytes", bar=MEMORY)


def _peak(who: int) -> int:
    """Bytes of memory at their highest, of this process or of the largest one that it has waited for."""
    return resource.getrusage(who).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _measure_tagger(root: Path, parts: list[Path], args: argparse.Namespace) -> Iterator[Measure]:
    from lora_tui.bench.tag import make_model, measure_pipeline

    found = (path for part in parts for path in sorted(part.rglob("*.*")) if path.suffix != ".txt")
    paths = list(islice(found, args.tagged))
    options = argparse.Namespace(images=len(paths), batch=min(4, len(paths)), threads=1, pairs=3)
    try:
        yield from measure_pipeline(make_model("", root), paths, options)
    except UserError as error:
        if not error.code.startswith("missing."):
            raise
        tell(str(error))


def _share(part: Path, number: int) -> Path:
    """One of the folders of a part; of so few pictures that there is no such, the first."""
    return part / str(number) if (part / str(number)).exists() else part / "0"


def _speed(
    name: str, parts: list[Path], ours: Callable[[int, Path], None], plain: Callable[[int, Path], None], bar: float
) -> Measure:
    """How many times as fast ``ours`` is as ``plain``, each doing every part once."""
    taken: list[float] = []
    for_plain, for_ours = iter(enumerate(parts)), iter(enumerate(parts))

    def told(number: int, pairs: int) -> None:
        tell(f"{name}: {number}/{pairs}")

    speeds = paired(
        lambda: plain(*next(for_plain)), lambda: taken.append(timed(lambda: ours(*next(for_ours)))), len(parts), told
    ).ratios
    detail = _("{seconds} s for all pictures").format(seconds=f"{sum(taken):.1f}")
    return replace(ratio_measure(name, speeds, bar=bar, detail=detail), least=True)


def _grain() -> Image:
    from PIL import Image

    return Image.effect_noise((GRAIN, GRAIN), 60).convert("RGB")


def _picture(chance: random.Random, grain: Image, width: int, height: int) -> Image:
    """Soft colours, some shapes with sharp edges, a little grain."""
    from PIL import Image, ImageDraw

    small = Image.frombytes("RGB", (16, 12), chance.randbytes(16 * 12 * 3))
    picture = small.resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _shape in range(12):
        x, y, size = chance.randrange(width), chance.randrange(height), chance.randrange(20, height // 2)
        colour = chance.randrange(256), chance.randrange(256), chance.randrange(256)
        (draw.ellipse if chance.random() < 0.5 else draw.rectangle)((x, y, x + size, y + size), fill=colour)
    left, top = chance.randrange(GRAIN - width + 1), chance.randrange(GRAIN - height + 1)
    return Image.blend(picture, grain.crop((left, top, left + width, top + height)), 0.08)


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """This process and those that it starts stay on one core, where the system can see to that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def _own_home(home: Path) -> Iterator[None]:
    """Caches of this measurement alone: what the person's own say of these pictures would be a lie."""
    before = os.environ.get("LORA_TUI_HOME")
    os.environ["LORA_TUI_HOME"] = str(home)
    try:
        yield
    finally:
        if before is None:
            del os.environ["LORA_TUI_HOME"]
        else:
            os.environ["LORA_TUI_HOME"] = before
