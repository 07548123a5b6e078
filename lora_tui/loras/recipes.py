"""What is asked before LoRA files are made of others: the fields of each operation, and the command that they make.

The app shows the fields as a form, and runs the command, with ``--dry-run`` for the preview: whatever a form does can
be done in a shell. Knows no widget and no torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from lora_tui.families import FAMILIES
from lora_tui.loras.files import SUFFIX
from lora_tui.places import is_folder
from lora_tui.text.translate import N_

Values = Mapping[str, str]
#: ``yes``: on or off (``yes`` and empty); ``model``: a checkpoint or a folder; ``file``: any file; ``new``: one that is
#: written.
FieldKind = Literal["text", "number", "choice", "yes", "model", "file", "new"]
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
    ("subtract", N_("subtract: the first less all others")),
    ("ties", N_("TIES: the largest entries of those that agree in sign")),
    ("dare", N_("DARE: entries that chance leaves, made larger")),
    ("dare-ties", N_("DARE, then TIES")),
    ("lerp", N_("lerp: between the first file and the second")),
)
_SPARSE = ("ties", "dare", "dare-ties")
_FAMILIES: Choices = (("", N_("as the files tell")), *((name, name) for name in FAMILIES))


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
        preview: the arguments with which the command writes nothing and says what it would come to. ``curve``: those
            with which it draws what each size would keep.
        starts: what stands in the field ``value`` once a rule is chosen.
        out_word: stands before the new file, where that is an option.
        of_base: whether the new file is the base model changed, and so belongs beside it.
    """

    action: str
    title: str
    fields: tuple[Field, ...]
    words: Callable[[Values], list[str]]
    files: Callable[[Values, str, Sequence[str]], list[str]]
    ending: str = "new"
    strengths: bool = False
    preview: tuple[str, ...] = ("--dry-run",)
    curve: tuple[str, ...] | None = None
    starts: Mapping[str, str] = field(default_factory=lambda: STARTS)
    out_word: str = ""
    of_base: bool = False

    @property
    def makes(self) -> bool:
        """Whether a file is made; else what the command says is all."""
        return any(one.kind == "new" for one in self.fields)

    def command(self, values: Values, files: Sequence[Path], *extra: str, writes: bool = False) -> list[str]:
        """The words after ``lora-tui``; ``extra`` are further options."""
        if self.out_word and writes:
            extra = (*extra, self.out_word, values.get(OUT, ""))
        named = [_with_strength(path, values.get(f"{STRENGTH}{at}", "")) for at, path in enumerate(files)]
        own = self.files(values, values.get(OUT, ""), named if self.strengths else [str(path) for path in files])
        return ["lora", self.action, *self.words(values), *extra, "--", *own]

    def following(self, name: str, values: Values) -> dict[str, str]:
        """What other answers become when that of ``name`` has changed."""
        value = values.get(name, "")
        if name == "rule":
            return {"value": self.starts.get(value, "")}
        if name == "method" and value in _SPARSE and not values.get("rule"):
            return {"rule": "rank", "value": "32"}  # what comes of these is no product of thin matrices
        return {}

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
    note = N_("0.8, or 0.8,0.5 (text encoders apart), or 0.8:INS (blocks); -0.4 takes away")
    return tuple(
        Field(f"{STRENGTH}{at}", "text", path.name.removesuffix(SUFFIX), note, "1") for at, path in enumerate(files)
    )


def out_start(recipe: Recipe, files: Sequence[Path], folder: Path, values: Values) -> str:
    """A name for the new file that is not there yet: beside what it is made of, else in ``folder``."""
    source = files[0] if files else folder / Path(values.get("tuned") or "tuned").name
    if recipe.of_base and values.get("base"):
        source = Path(values["base"])
    suffix = source.suffix if recipe.of_base and source.suffix != SUFFIX and is_folder(source) else SUFFIX
    for number in range(1, 1000):
        ending = f"-{recipe.ending}{'' if number == 1 else f'-{number}'}{suffix}"
        path = source.with_name(source.name.removesuffix(SUFFIX) + ending)
        if not os.path.lexists(path):
            break
    return str(path)


def _option(values: Values, name: str, word: str, nothing: Sequence[str] = ("",)) -> list[str]:
    value = values.get(name, "").strip()
    return [] if value in nothing else [word, value]


def _flag(values: Values, name: str, word: str) -> list[str]:
    return [word] if values.get(name) else []


def _keep(values: Values) -> list[str]:
    rule = values.get("rule", "")
    if not rule:
        return []
    most = _option(values, "most", "--most") if rule != "rank" else []
    return [f"--{rule}", values.get("value", ""), *most, *_option(values, "conv", "--conv-rank")]


def _keep_fields(
    rules: Choices, start: str, when: Callable[[Values], bool] = lambda v: True, starts: Mapping[str, str] = STARTS
) -> tuple[Field, ...]:
    """How much is kept: a rule, its number, and limits of ranks; ``when`` says whether that is asked at all."""
    return (
        Field("rule", "choice", N_("keep"), N_("how much is kept"), start, rules, when),
        Field(
            "value", "number", N_("how much"), N_("the number of the rule above"), starts.get(start, ""),
            shown=lambda v: when(v) and bool(v.get("rule")), needed=True,
        ),
        Field(
            "most", "number", N_("highest rank"), N_("of any layer; empty: no limit"),
            shown=lambda v: when(v) and v.get("rule") not in ("", "rank"),
        ),
        Field(
            "conv", "number", N_("convolutions"), N_("their highest rank; empty: as the others"),
            shown=lambda v: when(v) and bool(v.get("rule")),
        ),
    )  # fmt: skip


def _more(*fields: Field) -> tuple[Field, ...]:
    """Fields that few need: shown once they are asked for."""
    return (
        Field("further", "yes", N_("more settings"), N_("Enter shows those that few need, or hides them.")),
        *(replace(one, shown=lambda v: bool(v.get("further"))) for one in fields),
    )


_OUT = Field(OUT, "new", N_("new file"), N_("where it is written; sources are never written over"), needed=True)
_PRECISION = Field("precision", "choice", N_("precision"), N_("of its numbers"), "keep", PRECISIONS)
_LAYOUT = Field("to", "choice", N_("names"), N_("which programs read it"), "", LAYOUTS)
_FAMILY = Field("family", "choice", N_("family"), N_("where the files do not tell"), "", _FAMILIES)
_UPON = Field("base", "model", N_("base model"), N_("for what is no sum without it: DoRA, OFT, (IA)^3, GLoRA"))
_LEAVE_OUT = Field("leave_out", "yes", N_("leave out"), N_("layers that the names chosen above do not have"))
_PRESETS = Field("presets", "file", N_("presets"), N_("a file of block weights of one's own: lines NAME:1,0,0.5,…"))
_NO_TEXT = Field("plain_text", "yes", N_("no text encoders"), N_("leave their layers out"))


def _common(values: Values) -> list[str]:
    """The arguments of fields that several operations have."""
    return [
        *_option(values, "to", "--to"), *_flag(values, "plain_text", "--without-text"),
        *_option(values, "precision", "--precision", ("", "keep")), *_option(values, "family", "--family"),
        *_flag(values, "leave_out", "--leave-out"), *_option(values, "presets", "--presets"),
    ]  # fmt: skip


def _method(values: Values) -> list[str]:
    method = values.get("method", "")
    if method == "lerp":
        return ["--lerp", values.get("lerp", "")]
    words = [f"--{method}"] if method else []
    words += _option(values, "density", "--density") if method in _SPARSE else []
    return words + (_option(values, "seed", "--seed") if method.startswith("dare") else [])


MERGE = Recipe(
    "merge", N_("Merge LoRA files"),
    (
        _OUT,
        Field("method", "choice", N_("method"), N_("how they are added"), "", METHODS),
        Field(
            "lerp", "number", N_("how far"), N_("0: the first file, 1: the second"), "0.5",
            shown=lambda v: v.get("method") == "lerp", needed=True,
        ),
        Field(
            "density", "number", N_("density"), N_("share of entries that stay"), "0.5",
            shown=lambda v: v.get("method") in _SPARSE,
        ),
        Field(
            "seed", "number", N_("seed"), N_("of the chance that leaves entries out"), "0",
            shown=lambda v: v.get("method", "").startswith("dare"),
        ),
        *_keep_fields((("", N_("everything: the ranks add up")), *RULES), ""),
        _LAYOUT, _PRECISION, *_more(_LEAVE_OUT, _FAMILY, _UPON, _PRESETS),
    ),
    lambda v: [*_method(v), *_keep(v), *_common(v), *_option(v, "base", "--base")],
    lambda v, out, files: [out, *files],
    ending="merged", strengths=True,
)  # fmt: skip
RESIZE = Recipe(
    "resize", N_("Resize a LoRA file"),
    (_OUT, *_keep_fields(RULES, "rank"), _PRECISION, *_more(_FAMILY)),
    lambda v: [*_keep(v), *_common(v)],
    lambda v, out, files: [files[0], out],
    ending="resized", curve=("--curve", "--dry-run"),
)  # fmt: skip
CONVERT = Recipe(
    "convert", N_("Convert a LoRA file"),
    (
        _OUT, replace(_LAYOUT, start="kohya"),
        Field("lora", "yes", N_("as a plain LoRA"), N_("of LoHa, LoKr and others; says what is lost")),
        replace(_UPON, shown=lambda v: bool(v.get("lora"))),
        *_keep_fields((("", N_("as many directions as it has")), *RULES), "", lambda v: bool(v.get("lora"))),
        _NO_TEXT, _PRECISION, *_more(_LEAVE_OUT, _FAMILY),
    ),
    lambda v: [*(["--as", "lora", *_option(v, "base", "--base"), *_keep(v)] if v.get("lora") else []), *_common(v)],
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
        _OUT, *_more(_PRESETS, _FAMILY, _UPON),
    ),
    lambda v: [*_option(v, "weights", "--weights"), *_common(v), *_option(v, "base", "--base")],
    lambda v, out, files: [files[0]],
    ending="weighed", preview=(), out_word="--out",
)  # fmt: skip
_EXTRACT_RULES: Choices = (
    RULES[0], ("threshold", N_("threshold: singular values above it")),
    ("ratio", N_("ratio: singular values above it times the largest")),
    ("quantile", N_("quantile: the fewest whose sum is this share")), RULES[3], RULES[4],
)  # fmt: skip
_NAMES: Choices = (("", N_("as trained files have them")), ("kohya", "kohya"), ("diffusers", "diffusers"))
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
        *_keep_fields(_EXTRACT_RULES, "rank", lambda v: v.get("kind") != "full", EXTRACT_STARTS),
        _NO_TEXT, Field("layout", "choice", N_("names"), N_("which programs read it"), "", _NAMES),
        Field("precision", "choice", N_("precision"), N_("of its numbers"), "fp16", PRECISIONS[1:]),
    ),
    lambda v: [
        "--kind", v.get("kind", "lora"), *(_keep(v) if v.get("kind") != "full" else []),
        *_option(v, "layout", "--layout"), *_common(v),
    ],
    lambda v, out, files: [v.get("base", ""), v.get("tuned", ""), out],
    ending="extracted", starts=EXTRACT_STARTS,
)  # fmt: skip
BAKE = Recipe(
    "bake", N_("Bake LoRA files into a model"),
    (
        Field("base", "model", N_("base model"), N_("a checkpoint, or a folder in diffusers' layout"), needed=True),
        replace(_OUT, title=N_("new model")),
        Field("precision", "choice", N_("precision"), N_("warns where changes do not survive it"), "keep", (
            *PRECISIONS, ("fp8", "fp8"),
        )),
        *_more(
            Field("leave_out", "yes", N_("leave out"), N_("layers that fit none of the base's")),
            Field("share", "number", N_("warn below"), N_("the share of a change that survives the precision"), "0.9"),
            _PRESETS,
        ),
    ),
    lambda v: [*_common(v), *_option(v, "share", "--share")],
    lambda v, out, files: [v.get("base", ""), out, *files],
    ending="baked", strengths=True, of_base=True,
)  # fmt: skip
CHECK = Recipe(
    "check", N_("Check LoRA files"),
    (Field("base", "model", N_("base model"), N_("compares the widths of layers with this model; empty: without")),),
    lambda v: _option(v, "base", "--base"),
    lambda v, out, files: list(files),
    preview=(),
)  # fmt: skip
COMPARE = Recipe(
    "compare", N_("Compare two LoRA files"),
    (_FAMILY, _UPON),
    lambda v: [*_common(v), *_option(v, "base", "--base")],
    lambda v, out, files: list(files),
    preview=(), strengths=True,
)  # fmt: skip
