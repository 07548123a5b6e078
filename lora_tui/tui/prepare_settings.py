"""The settings of a preparation as a person chooses them: titles, help, choices. Data only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lora_tui.dataset.prepare.options import RANDOM, Options
from lora_tui.text import N_

Kind = Literal["choice", "switch", "number", "text", "folder", "file", "place"]

OTHER = "other"
"""The choice that asks for a value."""


@dataclass(frozen=True)
class Pick:
    """One choice: the value as text, its words, a remark."""

    value: str
    label: str
    remark: str = ""


def _always(_options: Options) -> bool:
    return True


@dataclass(frozen=True)
class Setting:
    """One row of the form.

    Attributes:
        key: of :class:`~lora_tui.dataset.prepare.options.Options`, or ``source``, ``destination``, ``workers``.
        asks: what is asked for by the choice :data:`OTHER`.
        applies: whether it has an effect beside the others.
    """

    key: str
    title: str
    kind: Kind
    help: str
    picks: tuple[Pick, ...] = ()
    asks: str = ""
    applies: Callable[[Options], bool] = _always


SETTINGS: tuple[Setting, ...] = (
    Setting("source", N_("from"), "place", N_("The folder of originals. They are only read.")),
    Setting(
        "destination",
        N_("to"),
        "place",
        N_("The new folder. It may be missing or empty, or hold a part of this very preparation, which goes on then."),
    ),
    Setting(
        "size",
        N_("training size"),
        "choice",
        N_("The side that images are made for, by family of models."),
        (
            Pick("512", N_("512 px"), N_("SD1.5")),
            Pick("1024", N_("1024 px"), N_("SDXL, SD3, SD3.5, FLUX")),
            Pick(OTHER, N_("another size")),
        ),
        asks=N_("Training size in px"),
    ),
    Setting(
        "shape",
        N_("shape"),
        "choice",
        N_("What shapes come out. The trainer takes its own buckets as they are, and brings others to the nearest."),
        (
            Pick("side", N_("one side the size"), N_("the other side a multiple of the step: little is cut")),
            Pick("square", N_("square"), N_("both sides the size")),
            Pick("bucket", N_("the trainer's buckets"), N_("the shapes that the trainer makes for this resolution")),
        ),
    ),
    Setting(
        "fit",
        N_("fit"),
        "choice",
        N_("How an image comes into its shape. A crop chosen by hand goes before the others."),
        (
            Pick("centre", N_("crop at the centre"), N_("what is too much goes on both sides")),
            Pick("subject", N_("crop around subject"), N_("around what stands out: faces, detail, colours")),
            Pick("pad", N_("pad"), N_("nothing is cut; the rest of the place is filled")),
        ),
    ),
    Setting(
        "pad",
        N_("padding"),
        "choice",
        N_("What the rest of the place is filled with."),
        (
            Pick("background", N_("the ground's colour"), N_("as below transparent areas")),
            Pick("edge", N_("the edge"), N_("the outermost pixels, repeated")),
            Pick("blur", N_("blurred image"), N_("the image itself, out of focus")),
            Pick(OTHER, N_("another colour"), N_("#rrggbb")),
        ),
        asks=N_("Colour: white, black or #rrggbb"),
        applies=lambda options: options.fit == "pad",
    ),
    Setting(
        "crops",
        N_("crops by hand"),
        "switch",
        N_("Use the parts of images that were chosen by hand in the dataset; off takes whole images."),
    ),
    Setting(
        "small",
        N_("small images"),
        "choice",
        N_("What becomes of images that are smaller than the size. Enlarging adds pixels, not detail."),
        (
            Pick("keep", N_("not enlarged"), N_("cut to the next lower multiples of the step")),
            Pick("enlarge", N_("enlarge")),
            Pick("leave-out", N_("leave out")),
        ),
    ),
    Setting(
        "background",
        N_("transparent areas"),
        "choice",
        N_("The colour of the ground where an image is transparent."),
        (
            Pick("white", N_("white")),
            Pick("black", N_("black")),
            Pick(RANDOM, N_("random"), N_("a colour of its own for each file: the model does not learn it")),
            Pick(OTHER, N_("another colour"), N_("#rrggbb")),
        ),
        asks=N_("Colour: white, black or #rrggbb"),
    ),
    Setting(
        "remove_background",
        N_("remove background"),
        "choice",
        N_("Keep the subject alone on the ground's colour, with rembg. Crops follow the subject then."),
        (
            Pick("", N_("no")),
            Pick("u2net", "u2net", N_("a model that rembg has fetched: rembg d u2net")),
            Pick("isnet-anime", "isnet-anime", N_("for drawings: rembg d isnet-anime")),
            Pick(OTHER, N_("another model"), N_("a name that rembg knows, or an ONNX file")),
        ),
        asks=N_("Model: a name that rembg knows, or an ONNX file"),
    ),
    Setting(
        "faces",
        N_("face detector"),
        "file",
        N_("YuNet's ONNX file: crops around the subject keep the faces that it finds. May be left empty."),
        applies=lambda options: options.fit == "crop" and options.at == "subject",
    ),
    Setting(
        "split",
        N_("long images"),
        "choice",
        N_("Cut images that are much longer than wide into square pieces that overlap."),
        (
            Pick("0", N_("whole")),
            Pick("2", N_("split from 2:1 on")),
            Pick("3", N_("split from 3:1 on")),
            Pick(OTHER, N_("split from another ratio")),
        ),
        asks=N_("Split images this many times as long as wide, or longer"),
    ),
    Setting(
        "overlap",
        N_("overlap"),
        "number",
        N_("The share of a piece that it has in common with the next, 0 to 0.9."),
        applies=lambda options: bool(options.split),
    ),
    Setting(
        "flips",
        N_("mirrored copies"),
        "switch",
        N_("Also a mirrored copy of each image. Leave it off for anything with a left and a right."),
    ),
    Setting(
        "format",
        N_("format"),
        "choice",
        N_("Of the new images."),
        (
            Pick("png", "PNG", N_("loses nothing; large")),
            Pick("jpeg", "JPEG", N_("a third of the space")),
            Pick("webp", "WebP", N_("a fifth of the space; 100 loses nothing")),
        ),
    ),
    Setting(
        "quality",
        N_("quality"),
        "number",
        N_("Of JPEG and WebP, 1 to 100; a WebP of 100 loses nothing."),
        applies=lambda options: options.format != "png",
    ),
    Setting(
        "name",
        N_("names"),
        "text",
        N_("A pattern of {stem}, {folder}, {number} such as {number:05}, {width} and {height}."),
    ),
    Setting(
        "folders",
        N_("folders"),
        "choice",
        N_("The folders below the new one."),
        (
            Pick("keep", N_("as in the source")),
            Pick("flat", N_("none")),
            Pick("repeats", "N_name", N_("kohya's folders of repeats")),
        ),
    ),
    Setting(
        "repeats",
        N_("repeats"),
        "number",
        N_("N of N_name; 0 takes what the source's folders say."),
        applies=lambda options: options.folders == "repeats",
    ),
    Setting(
        "label",
        N_("folder name"),
        "text",
        N_("The name in N_name; empty takes what the source's folders say."),
        applies=lambda options: options.folders == "repeats",
    ),
    Setting(
        "masks",
        N_("masks"),
        "folder",
        N_("A folder of masks with the names of the images; those beside the images go along anyway."),
    ),
    Setting("step", N_("step"), "number", N_("Sides that are not the size are multiples of this, px. 64 suits all.")),
    Setting(
        "bucket_min",
        N_("smallest side"),
        "number",
        N_("Smallest side of a bucket, px; 0 for half of the size."),
        applies=lambda options: options.shape == "bucket",
    ),
    Setting(
        "bucket_max",
        N_("largest side"),
        "number",
        N_("Largest side of a bucket, px; 0 for twice the size."),
        applies=lambda options: options.shape == "bucket",
    ),
    Setting(
        "seed",
        N_("seed of colours"),
        "number",
        N_("Names the random colours: the same seed gives the same ones."),
        applies=lambda options: options.background == RANDOM,
    ),
    Setting("workers", N_("processes"), "number", N_("Processes that work at the same time; each takes a core.")),
)
