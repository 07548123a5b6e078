"""What is asked before LoRA files are made of others: the fields of each operation, and the command that they make.

The app shows the fields as a form, and runs the command, with ``--dry-run`` for the preview: whatever a form does can
be done in a shell. Knows no widget and no torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lora_tui.text.translate import N_

Values = Mapping[str, str]
#: ``yes``: on or off (``yes`` and empty); ``model``: a checkpoint or a folder; ``new``: a file that is written.
FieldKind = Literal["text", "number", "choice", "yes", "model", "new"]
Choices = tuple[tuple[str, str], ...]
STRENGTH = "strength "
"""Begins the names of the fields that say how strong each file is; its number follows."""
OUT = "out"

RULES: Choices = (
    ("rank", N_("rank: as many directions in every layer")),
    ("ratio", N_("ratio: singular values down to the largest divided by this")),
    ("cumulative", N_("cumulative: as few as add up to this share of the sum")),
    ("frobenius", N_("Frobenius: as few as have this share of the norm")),
    ("size", N_("size: a file of so many MB, spread best over the layers")),
)
STARTS = {"rank": "8", "ratio": "20", "cumulative": "0.9", "frobenius": "0.95", "size": "50"}
"""What stands in the field of a rule at first; of an extraction :data:`EXTRACT_STARTS`."""
EXTRACT_STARTS = {
    "rank": "16",
    "threshold": "0.1",
    "ratio": "0.05",
    "quantile": "0.8",
    "frobenius": "0.9",
    "size": "50",
}
PRECISIONS: Choices = (("keep", N_("as it is")), ("fp16", "fp16"), ("bf16", "bf16"), ("fp32", "fp32"))
LAYOUTS: Choices = (
    ("", N_("as it is")),
    ("kohya", N_("kohya: A1111, Forge, ComfyUI, sd-scripts")),
    ("diffusers", N_("diffusers: diffusers, ComfyUI, Forge")),
    ("peft", "peft"),
    ("ai-toolkit", "ai-toolkit"),
    ("onetrainer", "OneTrainer"),
    ("comfyui", "ComfyUI"),
)
METHODS: Choices = (
    ("", N_("sum: exact, any ranks")),
    ("average", N_("average: strengths add up to 1")),
    ("subtract", N_("the first less all others")),
    ("ties", N_("TIES: the largest entries of those that agree in sign")),
    ("dare", N_("DARE: entries that chance leaves, made larger")),
    ("dare-ties", N_("both")),
)


@dataclass(frozen=True)
class Field:
    """One thing that is asked.

    Attributes:
        title: what a person reads; ``note`` what it means.
        start: its value at first.
        choices: of a choice: value and words.
        shown: whether it means anything with these values.
        needed: whether nothing can be done without it.
    """

    name: str
    kind: FieldKind
    title: str
    note: str = ""
    start: str = ""
    choices: Choices = ()
    shown: Callable[[Values], bool] = lambda values: True
    needed: bool = False


@dataclass(frozen=True)
class Recipe:
    """One operation.

    Attributes:
        action: of ``lora-tui lora``.
        ending: what is put behind the first file's name for a new one.
        strengths: whether each file has one.
        words: the arguments of the values, without those of files.
        files: the arguments of the files, given the values, the new file and the files with their strengths.
        preview: the arguments with which the command writes nothing and says what it would come to; none where it
            cannot. ``curve``: those with which it draws what each size would keep.
        starts: what stands in the field ``value`` once a rule is chosen.
        out_word: stands before the new file, where that is an option.
    """

    action: str
    title: str
    fields: tuple[Field, ...]
    words: Callable[[Values], list[str]]
    files: Callable[[Values, str, Sequence[str]], list[str]]
    ending: str = "new"
    strengths: bool = False
    preview: tuple[str, ...] | None = ("--dry-run",)
    curve: tuple[str, ...] | None = None
    starts: Mapping[str, str] = field(default_factory=lambda: STARTS)
    out_word: str = ""

    def command(self, values: Values, files: Sequence[Path], *extra: str, writes: bool = False) -> list[str]:
        """The words after ``lora-tui``; ``extra`` are further options."""
        if self.out_word and writes:
            extra = (*extra, self.out_word, values.get(OUT, ""))
        named = [_with_strength(path, values.get(f"{STRENGTH}{at}", "")) for at, path in enumerate(files)]
        own = self.files(values, values.get(OUT, ""), named if self.strengths else [str(path) for path in files])
        return ["lora", self.action, *self.words(values), *extra, "--", *own]

    def lacking(self, values: Values) -> str:
        """The title of the first field that has to be filled; empty where none is left."""
        return next(
            (one.title for one in self.fields if one.needed and one.shown(values) and not values.get(one.name)), ""
        )


def _with_strength(path: Path, text: str) -> str:
    typed = text.strip()
    return f"{path}={typed}" if typed not in ("", "1") else str(path)


def strength_fields(files: Sequence[Path]) -> tuple[Field, ...]:
    """A strength for each file."""
    note = N_("0.8, or 0.8,0.5 with text encoders apart, or 0.8:INS with weights of blocks")
    return tuple(Field(f"{STRENGTH}{at}", "text", path.name, note, "1") for at, path in enumerate(files))


def out_start(recipe: Recipe, files: Sequence[Path], folder: Path) -> str:
    """A name for the new file that is not there yet."""
    stem = files[0].name.removesuffix(".safetensors") if files else recipe.ending
    where = files[0].parent if files else folder
    base = f"{stem}-{recipe.ending}" if files else stem
    for number in range(1, 1000):
        path = where / f"{base}{'' if number == 1 else f'-{number}'}.safetensors"
        if not os.path.lexists(path):
            return str(path)
    return str(path)


def _option(values: Values, name: str, word: str, nothing: Sequence[str] = ("",)) -> list[str]:
    value = values.get(name, "").strip()
    return [] if value in nothing else [word, value]


def _flag(values: Values, name: str, word: str) -> list[str]:
    return [word] if values.get(name) else []


def _keep(values: Values) -> list[str]:
    rule = values.get("rule", "")
    return [f"--{rule}", values.get("value", "")] if rule else []


_OUT = Field(OUT, "new", N_("new file"), N_("Sources are never written over."), needed=True)
_PRECISION = Field("precision", "choice", N_("precision"), N_("of its numbers"), "keep", PRECISIONS)
_LAYOUT = Field("to", "choice", N_("names"), N_("which programs read it"), "", LAYOUTS)


def _rules(first: Choices, start: str) -> tuple[Field, ...]:
    return (
        Field("rule", "choice", N_("keep"), N_("how much is kept"), start, first),
        Field(
            "value", "number", N_("how much"), start=STARTS.get(start, ""), shown=lambda v: bool(v.get("rule")),
            needed=True,
        ),
    )  # fmt: skip


MERGE = Recipe(
    "merge", N_("Merge LoRA files"),
    (
        _OUT,
        Field("method", "choice", N_("method"), N_("how they are added"), "", METHODS),
        Field(
            "density", "number", N_("density"), N_("share of entries that stay"), "0.5",
            shown=lambda v: v.get("method") in ("ties", "dare", "dare-ties"),
        ),
        *_rules((("", N_("everything: the ranks add up")), *RULES), ""),
        _LAYOUT, _PRECISION,
    ),
    lambda v: [
        *([f"--{v['method']}"] if v.get("method") else []), *_keep(v), *_option(v, "to", "--to"),
        *(_option(v, "density", "--density") if v.get("method") in ("ties", "dare", "dare-ties") else []),
        *_option(v, "precision", "--precision", ("", "keep")),
    ],
    lambda v, out, files: [out, *files],
    ending="merged", strengths=True,
)  # fmt: skip
RESIZE = Recipe(
    "resize", N_("Resize a LoRA file"),
    (
        _OUT, *_rules(RULES, "rank"),
        Field(
            "most", "number", N_("highest rank"), N_("of any layer; empty: no limit"),
            shown=lambda v: v.get("rule") != "rank",
        ),
        Field("conv", "number", N_("convolutions"), N_("their highest rank; empty: as the others")),
        _PRECISION,
    ),
    lambda v: [
        *_keep(v), *_option(v, "conv", "--conv-rank"), *_option(v, "precision", "--precision", ("", "keep")),
        *(_option(v, "most", "--most") if v.get("rule") != "rank" else []),
    ],
    lambda v, out, files: [files[0], out],
    ending="resized", curve=("--curve", "--dry-run"),
)  # fmt: skip
CONVERT = Recipe(
    "convert", N_("Convert a LoRA file"),
    (
        _OUT, Field("to", "choice", N_("names"), N_("which programs read it"), "kohya", LAYOUTS),
        Field("lora", "yes", N_("as a plain LoRA"), N_("of LoHa, LoKr and others; says what is lost")),
        Field("base", "model", N_("base model"), N_("for DoRA, OFT and others"), shown=lambda v: bool(v.get("lora"))),
        *(
            Field(one.name, one.kind, one.title, one.note, one.start, one.choices,
                  lambda v, own=one: bool(v.get("lora")) and own.shown(v), one.needed)  # type: ignore[misc]
            for one in _rules((("", N_("as many directions as it has")), *RULES), "")
        ),
        Field("plain_text", "yes", N_("no text encoders"), N_("leave their layers out")),
        _PRECISION,
    ),
    lambda v: [
        *_option(v, "to", "--to"), *_flag(v, "plain_text", "--without-text"),
        *(["--as", "lora", *_option(v, "base", "--base"), *_keep(v)] if v.get("lora") else []),
        *_option(v, "precision", "--precision", ("", "keep")),
    ],
    lambda v, out, files: [files[0], out],
    ending="converted",
)  # fmt: skip
BLOCKS = Recipe(
    "blocks", N_("Weigh the blocks of a LoRA file"),
    (
        Field(
            "weights", "text", N_("weights"), N_("1,0,0.5,… or IN04-M00=0.5,default=1 or a preset such as INS"), "ALL",
            needed=True,
        ),
        _OUT,
    ),
    lambda v: _option(v, "weights", "--weights"),
    lambda v, out, files: [files[0]],
    ending="weighed", preview=(), out_word="--out",
)  # fmt: skip
_EXTRACT_RULES: Choices = (
    RULES[0], ("threshold", N_("threshold: singular values above it")),
    ("ratio", N_("ratio: singular values above it times the largest")),
    ("quantile", N_("quantile: the fewest whose sum is this share")), RULES[3], RULES[4],
)  # fmt: skip
EXTRACT = Recipe(
    "extract", N_("Extract a LoRA from a tuned checkpoint"),
    (
        Field("base", "model", N_("base model"), N_("what it was tuned from"), needed=True),
        Field("tuned", "model", N_("tuned model"), N_("a checkpoint, or a folder"), needed=True),
        _OUT,
        Field("kind", "choice", N_("kind"), N_("what it holds"), "lora", (
            ("lora", N_("LoRA: linear layers")), ("locon", N_("LoCon: convolutions, too")),
            ("full", N_("the whole difference, norms too")),
        )),
        Field(
            "rule", "choice", N_("keep"), N_("how much is kept"), "rank", _EXTRACT_RULES,
            lambda v: v.get("kind") != "full",
        ),
        Field("value", "number", N_("how much"), start="16", shown=lambda v: v.get("kind") != "full", needed=True),
        Field("text", "yes", N_("no text encoders"), N_("the network that draws alone")),
        Field("precision", "choice", N_("precision"), N_("of its numbers"), "fp16", PRECISIONS[1:]),
    ),
    lambda v: [
        "--kind", v.get("kind", "lora"), *(_keep(v) if v.get("kind") != "full" else []),
        *_flag(v, "text", "--no-text-encoder"), *_option(v, "precision", "--precision"),
    ],
    lambda v, out, files: [v.get("base", ""), v.get("tuned", ""), out],
    ending="extracted", starts=EXTRACT_STARTS,
)  # fmt: skip
BAKE = Recipe(
    "bake", N_("Bake LoRA files into a model"),
    (
        Field("base", "model", N_("base model"), N_("a checkpoint, or a folder"), needed=True),
        _OUT,
        Field("precision", "choice", N_("precision"), N_("warns where changes do not survive it"), "keep", (
            *PRECISIONS, ("fp8", "fp8"),
        )),
        Field("leave_out", "yes", N_("leave out"), N_("layers that fit none of the base's")),
    ),
    lambda v: [*_option(v, "precision", "--precision", ("", "keep")), *_flag(v, "leave_out", "--leave-out")],
    lambda v, out, files: [v.get("base", ""), out, *files],
    ending="baked", strengths=True,
)  # fmt: skip
