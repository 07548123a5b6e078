"""The caption engine on a large dataset: opening, filters, completion, the tag editor, bulk edits.

The dataset is made in a temporary folder: one small picture under many names, captions of 28 tags on average from
20,000, some of them frequent and most rare, as on booru sites. What costs memory is measured in fresh processes.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import random
import statistics
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.bench.common import Measure, median_interval, ratio_measure, timed
from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.captions.corpus import Corpus

TAGS = 20_000
TAGS_EACH = 28
EDITED = 40_000
QUERIES = ('"{0}" -"{1}"', '("{0}" OR "{2}") AND NOT "{1}"', "one({0}, {1}, {2})", '*hair* -"{3}"', 'tags>30 "{1}"')
TYPED = ("l", "lo", "long h", "ha re", "zzz", "irt", "blahr", "lkvw", "a e i o")


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--images", type=int, default=100_000, help=_("how many captions to make"))
    parser.add_argument("--names", type=int, default=250_000, help=_("how many tags to complete from"))
    parser.add_argument("--pairs", type=int, default=5, help=_("how many pairs of bulk edits to measure"))
    parser.add_argument("--keys", type=int, default=300, help=_("how many keys to press in the app; 0 for none"))
    parser.add_argument("--dir", type=Path, help=_("a folder on the disk to measure; else one for temporary files"))


def measure(args: argparse.Namespace) -> Iterator[Measure]:
    """Make the dataset, measure everything on it, remove it.

    Raises:
        UserError: there are too few images to measure, or a process failed.
    """
    if args.images < 100 or args.pairs < 1 or args.names < 1:
        raise UserError(_("At least 100 images and one pair are needed."), code="bench.captions")
    with tempfile.TemporaryDirectory(prefix="lora-tui-bench-", dir=args.dir) as name:
        folder = Path(name) / "set"
        tags = make_dataset(folder, args.images)
        yield from measure_opening(folder)
        yield from measure_engine(folder, tags, args.names)
        if args.keys > 0:
            from lora_tui.bench.editor import measure_editor

            yield from measure_editor(folder, Path(name) / "home", tags, args.keys)
        yield from measure_edit(folder, min(EDITED, args.images * 4 // 10), args.pairs)


def make_dataset(folder: Path, images: int, seed: int = 3) -> list[str]:
    """Make images that are one small picture, and their captions; the tags, the most frequent first."""
    chance, picture = random.Random(seed), _picture()
    tags = make_tags(TAGS, chance)
    weights = list(itertools.accumulate(1 / (rank + 3) ** 0.9 for rank in range(TAGS)))
    folder.mkdir(parents=True)
    for number in range(images):
        if number % 10_000 == 0:
            part = folder / f"part{number // 10_000:03d}"
            part.mkdir()
        several = max(1, round(chance.gauss(TAGS_EACH, 8)))
        caption = dict.fromkeys(chance.choices(tags, cum_weights=weights, k=several + several // 5))
        text = ", ".join(itertools.islice(caption, several))
        (part / f"{number:06d}.txt").write_text(text, "utf-8")
        image = part / f"{number:06d}.png"
        if number % 10_000 == 0:
            image.write_bytes(picture)
        else:
            os.link(part / f"{number // 10_000 * 10_000:06d}.png", image)
    return tags


def _picture() -> bytes:
    """A PNG of 16 x 16 grey pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(range(row, row + 16)) for row in range(16)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def make_tags(several: int, chance: random.Random) -> list[str]:
    """Different tags of one to three words, the words as frequent as in a language."""
    syllables = [first + second for first in "bdfghklmnprstvw" for second in "aeiou"]
    words = ["long", "hair", "red", "shirt", "blue", "eyes"]
    words += ["".join(chance.choices(syllables, k=chance.randint(1, 4))) for _number in range(several // 4)]
    weights = list(itertools.accumulate(1 / (rank + 5) for rank in range(len(words))))
    tags: dict[str, None] = {}
    while len(tags) < several:
        tags[" ".join(chance.choices(words, cum_weights=weights, k=chance.choice((1, 2, 2, 3))))] = None
    return list(tags)


def measure_opening(folder: Path) -> Iterator[Measure]:
    """Opening in fresh processes: the first time, again, and what it weighs."""
    with tempfile.TemporaryDirectory(prefix="lora-tui-bench-") as home:
        opened = [_in_process(_OPEN, str(folder), home=home) for _time in range(3)]
    images = f"{int(opened[0]['images']):,}"
    first = Measure(_("open {count} captions").format(count=images), opened[0]["seconds"], "s", bar=3.0)
    yield first
    yield Measure(_("open them again"), min(one["seconds"] for one in opened[1:]), "s", bar=1.5)
    yield Measure(_("peak memory then"), max(one["memory"] for one in opened), "bytes", bar=350e6)


def measure_engine(folder: Path, tags: list[str], names: int) -> Iterator[Measure]:
    """Filters, vocabulary, completion and lint in this process."""
    from lora_tui.captions.complete import Completer, Named, TagList
    from lora_tui.captions.corpus import Corpus
    from lora_tui.captions.lint import Linter
    from lora_tui.captions.query.query import parse_query

    corpus = Corpus.open(folder)
    index = corpus.index
    named = [tags[place] for place in (0, 1, 2, 50)]
    slowest = _slowest([query.format(*named) for query in QUERIES], lambda query: parse_query(query).select(corpus))
    yield Measure(_("boolean filter"), slowest[0], "ms", bar=50.0, detail=slowest[1])
    half = range(0, len(corpus.entries), 2)
    counted = statistics.median(timed(lambda: index.counts_in(half)) for _time in range(3))
    yield Measure(_("counts of every tag in half of the captions"), counted * 1e3, "ms")
    chance = random.Random(5)
    known = [Named(tag, "general", names - rank) for rank, tag in enumerate(make_tags(names, chance))]
    completer = Completer(index, TagList(known))
    completer.complete("x")
    slowest = _slowest(TYPED, completer.complete)
    yield Measure(
        _("completion in {count} entries").format(count=f"{names:,}"), slowest[0], "ms", bar=20.0, detail=slowest[1]
    )
    yield Measure(_("lint of all captions"), timed(Linter(corpus).all), "s")
    yield from _measure_rename(corpus, tags[0])


def _measure_rename(corpus: Corpus, tag: str) -> Iterator[Measure]:
    """The most frequent tag under another name, in memory alone."""
    from lora_tui.captions.language import parse_operation
    from lora_tui.captions.operations.base import Context
    from lora_tui.captions.transaction import preview

    numbers = sorted(corpus.index.postings(tag))
    operation = parse_operation(f'rename "{tag}" to "another name"')
    plans: list[Any] = []

    def plan() -> None:
        context = Context(profile=corpus.profile)
        plans.append(preview(corpus, numbers, operation, context=context, operation_text="rename"))
        assert plans[0].occurrences  # as it is said before anybody agrees

    def put() -> None:
        changes = plans[0].changes
        corpus.put_many(((change.number, change.document) for change in changes), plans[0].tags_after)

    planned, changed = timed(plan), timed(put)
    count = f"{len(numbers):,}"
    yield Measure(_("preview of a rename in {count} captions").format(count=count), planned, "s")
    yield Measure(_("that rename in memory"), changed, "s", bar=0.5)


def measure_edit(folder: Path, several: int, pairs: int) -> Iterator[Measure]:
    """A bulk edit until it is on disk, and its undo, each against a bare loop of temporary files and renames."""
    from lora_tui.captions.corpus import Corpus
    from lora_tui.captions.language import parse_operation
    from lora_tui.captions.operations.base import Context
    from lora_tui.captions.transaction import Session, preview

    corpus = Corpus.open(folder)
    session = Session(corpus)
    numbers = range(several)
    edits, undos, bare = [], [], []
    for pair in range(pairs):
        text = f'add "bulk {pair}" front'
        context = Context(profile=corpus.profile)
        plan = preview(corpus, numbers, parse_operation(text), context=context, operation_text=text)
        contents = {corpus.entries[change.number].caption: change.after or b"" for change in plan.changes}
        originals = {corpus.entries[change.number].caption: change.before or b"" for change in plan.changes}

        def edit(plan: Any = plan) -> None:
            session.apply(plan, "bench")
            session.flush()

        def undo() -> None:
            session.undo()
            session.flush()

        edits.append(timed(edit))
        undos.append(timed(undo))
        bare.append((timed(lambda: bare_loop(contents)) + timed(lambda: bare_loop(originals))) / 2)  # noqa: B023
        corpus.refresh(numbers)
    session.close()
    count = f"{several:,}"
    detail = _("{seconds} s; the bare loop takes {bare} s").format(
        seconds=f"{statistics.median(edits):.2f}", bare=f"{statistics.median(bare):.2f}"
    )
    ratios = [ours / loop for ours, loop in zip(edits, bare, strict=True)]
    name = _("bulk edit of {count} captions, journalled and on disk, against a bare loop")
    yield ratio_measure(name.format(count=count), ratios, bar=2.0, detail=detail)
    ratios = [ours / loop for ours, loop in zip(undos, bare, strict=True)]
    detail = _("{seconds} s").format(seconds=f"{median_interval(undos)[0]:.2f}")
    yield ratio_measure(_("its undo against that loop"), ratios, bar=2.0, detail=detail)


def bare_loop(contents: dict[Path, bytes]) -> None:
    """Each file written beside itself and renamed, without flushing: what any careful program would do."""
    for path, raw in contents.items():
        temporary = f"{path}.tmp"
        with open(temporary, "wb") as file:  # noqa: PTH123 - the bare loop
            file.write(raw)
        os.replace(temporary, path)  # noqa: PTH105


def _slowest(asked: Iterable[str], work: Callable[[str], object]) -> tuple[float, str]:
    """The greatest of the median times of ``work`` over ``asked``, ms, and which it was."""
    times: dict[str, float] = {}
    for text in asked:
        times[text] = statistics.median(timed(lambda: work(text)) for _time in range(5)) * 1e3  # noqa: B023
    slowest = max(times, key=lambda text: times[text])
    shown = _("the slowest of {count}: {text}").format(count=len(times), text=slowest)
    return (times[slowest] if times else math.nan), shown


_OPEN = """
import gc, json, resource, sys, time
begun = time.perf_counter()
from pathlib import Path
from lora_tui.captions.corpus import Corpus
corpus = Corpus.open(Path(sys.argv[1]))
seconds = time.perf_counter() - begun
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
json.dump({"seconds": seconds, "memory": peak, "images": len(corpus.entries)}, sys.stdout)
corpus.keep()
"""


def _in_process(program: str, *args: str, home: str) -> dict[str, float]:
    """The figures that a fresh process prints; its caches lie in ``home``."""
    command, environment = python_command("-c", program, *args), {**os.environ, "LORA_TUI_HOME": home}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    with contextlib.suppress(ValueError):
        return dict(json.loads(result.stdout))
    raise UserError(_("a measurement failed: {last}").format(last=result.stderr[-400:]), code="bench.captions")
