"""Tagging against bare onnxruntime: the same model, the same pictures, the same threads.

The bare loop opens, flattens, pads and resizes each picture and runs the model on a batch, as a short script does. The
model is made here, a small network of convolutions with ten thousand tags, unless a tagger's folder is given.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from array import array
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.bench.common import Measure, median_interval, paired, tell, timed
from lora_tui.errors import UserError
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.tagging.models import Model
    from lora_tui.tagging.tagger import Tagger

SPEED_BAR = 0.9
TUNING_BAR_MS = 100.0
TAGS = 10_000
_SIDE = 448


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--images", type=int, default=64, help=_("how many pictures to make"))
    parser.add_argument("--pairs", type=int, default=5, help=_("pairs of measurements"))
    parser.add_argument("--batch", type=int, default=4, help=_("pictures at once"))
    parser.add_argument("--threads", type=int, default=0, help=_("of the calculation; 0 for what suits"))
    parser.add_argument("--model", default="", help=_("a WD tagger to measure; else one is made"))
    parser.add_argument("--rows", type=int, default=10_000, help=_("images whose thresholds are tuned"))


def measure(args: argparse.Namespace) -> Iterator[Measure]:
    """Make pictures and model, measure, remove them.

    Raises:
        UserError: a library is missing, or the numbers are too small.
    """
    if args.images < args.batch or min(args.batch, args.pairs, args.rows) < 1:
        raise UserError(_("At least one batch of images and one pair are needed."), code="bench.tag")
    with tempfile.TemporaryDirectory(prefix="lora-tui-bench-") as name:
        folder = Path(name)
        os.environ["LORA_TUI_HOME"] = str(folder / "home")
        make_pictures(folder / "set", args.images)
        paths = sorted((folder / "set").iterdir())
        model = make_model(args.model, folder)
        yield from measure_pipeline(model, paths, args)
        yield from measure_whole(model, paths, args)
    yield from measure_tuning(args.rows)


def make_pictures(folder: Path, several: int) -> None:
    """JPEG pictures of a camera's ratio, as hard to decode as photographs of a megapixel."""
    from PIL import Image

    folder.mkdir(parents=True)
    for number in range(several):
        grain = Image.effect_noise((256, 171), 60 + number % 40).resize((1152, 768), Image.Resampling.BICUBIC)
        tint = Image.linear_gradient("L").resize((1152, 768))
        Image.merge("RGB", (grain, tint, grain)).save(folder / f"{number:05d}.jpg", quality=92)


def make_tagger(folder: Path) -> Path:
    """A WD tagger of random weights: some milliseconds a picture on any machine.

    Raises:
        UserError: onnx is not installed.
    """
    try:
        from onnx import TensorProto, helper, numpy_helper, save
    except ImportError:
        raise UserError(
            _("onnx is not installed, so no model can be made."),
            remedy=_("Name one with --model, or: pip install onnx"),
            code="missing.onnx",
        ) from None
    import numpy as np

    chance = np.random.default_rng(0)
    widths = (3, 48, 96, 192, 384)
    nodes = [helper.make_node("Transpose", ["input"], ["x0"], perm=[0, 3, 1, 2])]
    held = []
    for number, (before, after) in enumerate(pairwise(widths)):
        step = 4 if number == 0 else 2
        size = 4 if number == 0 else 3
        weights = chance.standard_normal((after, before, size, size)) * (2 / (before * size * size)) ** 0.5
        held.append(numpy_helper.from_array((weights / (255 if number == 0 else 1)).astype(np.float32), f"w{number}"))
        pads = [0, 0, 0, 0] if number == 0 else [1, 1, 1, 1]
        nodes.append(
            helper.make_node("Conv", [f"x{number}", f"w{number}"], [f"c{number}"], strides=[step, step], pads=pads)
        )
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"x{number + 1}"]))
    last = len(widths) - 1
    held.append(numpy_helper.from_array((chance.standard_normal((widths[-1], TAGS)) * 0.2).astype(np.float32), "w"))
    held.append(numpy_helper.from_array(np.full(TAGS, -6, np.float32), "bias"))
    nodes += [
        helper.make_node("GlobalAveragePool", [f"x{last}"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tagger",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", _SIDE, _SIDE, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", TAGS])],
        held,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    folder.mkdir(parents=True)
    save(made, str(folder / "model.onnx"))
    lines = ["tag_id,name,category,count", *(f"{place},tag_{place},0,1" for place in range(TAGS))]
    (folder / "selected_tags.csv").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def measure_pipeline(model: Model, paths: list[Path], args: argparse.Namespace) -> Iterator[Measure]:
    """A tagger that is loaded, over all pictures, against the bare loop."""
    tagger = _opened(model, args)
    bare = _bare(model, paths, args)
    tell(_("warming up"))
    ours = _ours(tagger, paths)
    found = {place: row for place, row in ours().items() if place < args.batch}
    for place, scores in enumerate(bare(args.batch)):
        if abs(max(scores) - (found[place].scores[0] if len(found[place]) else 0.0)) > 0.05:
            raise UserError(_("The tagger and the bare loop do not agree."), code="bench.tag")
    ratios = [1 / ratio for ratio in paired(ours, lambda: bare(args.images), args.pairs).ratios]
    median, low, high = median_interval(ratios)
    seconds = timed(ours)
    detail = _("{images} pictures, {seconds} s, batches of {batch}, on the {place}").format(
        images=args.images, seconds=f"{seconds:.2f}", batch=args.batch, place=tagger.told
    )
    name = _("speed of a tagger against bare onnxruntime")
    yield Measure(name, median, "ratio", bar=SPEED_BAR, least=True, low=low, high=high, detail=detail)


def measure_whole(model: Model, paths: list[Path], args: argparse.Namespace) -> Iterator[Measure]:
    """A run as the command makes it: process, loading, digests, kept answers; then again from those."""
    from lora_tui.tagging.cache import AnswerCache
    from lora_tui.tagging.gather import Target, gather
    from lora_tui.tagging.tagger import Device

    targets = [Target(number, path) for number, path in enumerate(paths)]

    def whole() -> None:
        with AnswerCache() as cache:
            gather(
                model,
                targets,
                cache,
                Device("cpu", args.batch, args.threads),
                lambda *_given: None,
                root=paths[0].parent,
            )

    first, second = timed(whole), timed(whole)
    bare = timed(lambda: _bare(model, paths, args)(args.images))
    detail = _("with process, loading, digests and store; the bare loop with loading takes {bare} s").format(
        bare=f"{bare:.2f}"
    )
    yield Measure(_("a whole run over {count} pictures").format(count=args.images), first, "s", detail=detail)
    yield Measure(_("the same from kept answers"), second, "s")


def measure_tuning(several: int) -> Iterator[Measure]:
    """Another threshold over many images of ten thousand tags."""
    from lora_tui.tagging.rows import Row
    from lora_tui.tagging.rules import Thresholds
    from lora_tui.tagging.tuning import ScoreTable
    from lora_tui.tagging.vocabulary import Vocabulary

    chance = random.Random(1)
    names = tuple(f"tag {place}" for place in range(TAGS))
    rows = []
    for _number in range(several):  # as many as a WD tagger gives some weight, most of them little
        places = chance.sample(range(TAGS), 250)
        scores = sorted((0.001 ** chance.random() for _place in places), reverse=True)
        rows.append(Row(array("I", places), array("f", scores)))
    vocabulary = Vocabulary(names, tuple("general" if place < 8_000 else "character" for place in range(TAGS)))
    table = ScoreTable(vocabulary, rows)
    thresholds = [Thresholds(general=step / 20) for step in range(5, 16)]
    several_times = [timed(lambda: table.at_threshold(one)) for one in thresholds]  # noqa: B023 - called at once
    name = _("other thresholds over {count} images of ten thousand tags").format(count=f"{several:,}")
    yield Measure(name, median_interval(several_times)[0] * 1e3, "ms", bar=TUNING_BAR_MS)


def make_model(name: str, folder: Path) -> Model:
    """The tagger called ``name``, or one that is made below ``folder``. Raises as :func:`make_tagger`."""
    from lora_tui.tagging.models import resolve
    from lora_tui.tagging.request import ModelChoice, Request

    choice = ModelChoice("wd14", name or str(make_tagger(folder / "tagger")))
    return resolve(choice, Request((choice,)))


def _opened(model: Model, args: argparse.Namespace) -> Tagger:
    try:
        from lora_tui.tagging.onnx_tagger import open_tagger
    except ImportError as error:
        from lora_tui.tagging.hub import missing_library

        raise missing_library(str(error.name)) from error
    from lora_tui.tagging.tagger import Device

    return open_tagger(model.settings, Device("cpu", args.batch, args.threads))


def _ours(tagger: Tagger, paths: list[Path]) -> Callable[[], dict[int, Any]]:
    from lora_tui.tagging.pipeline import Item, Listed, answers

    def work() -> dict[int, Any]:
        items = Listed(Item(number, path) for number, path in enumerate(paths))
        return {item.number: row for item, row in answers(tagger, items, _must_not_fail)}

    return work


def _must_not_fail(_item: object, error: UserError) -> None:
    raise error


def _bare(model: Model, paths: list[Path], args: argparse.Namespace) -> Callable[[int], list[Any]]:
    """The model loaded by onnxruntime alone, and what runs it over so many pictures."""
    import numpy as np
    import onnxruntime as ort
    from PIL import Image

    options = ort.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = ort.InferenceSession(str(model.files[0]), options, providers=["CPUExecutionProvider"])
    name, side = session.get_inputs()[0].name, session.get_inputs()[0].shape[1]

    def ready(path: Path) -> Any:
        image = Image.open(path).convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image).convert("RGB")
        whole = Image.new("RGB", (max(image.size), max(image.size)), "white")
        whole.paste(image, ((whole.width - image.width) // 2, (whole.height - image.height) // 2))
        return np.asarray(whole.resize((side, side), Image.Resampling.BICUBIC), np.float32)[:, :, ::-1]

    def work(several: int) -> list[Any]:
        found: list[Any] = []
        for start in range(0, several, args.batch):
            batch = np.stack([ready(path) for path in paths[start : min(start + args.batch, several)]])
            found += list(session.run(None, {name: batch})[0])
        return found

    return work
