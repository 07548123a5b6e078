"""What is asked before pictures are generated: the fields of the app's form, and the request that they make.

Knows no widget and no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lora_tui.config.samplers import A1111, SPACINGS
from lora_tui.errors import UserError
from lora_tui.generate.ask import Request
from lora_tui.grids.ask import Wanted
from lora_tui.loras.recipes import STRENGTH, Field, Recipe
from lora_tui.places import expand
from lora_tui.text import N_, _, plain

USUAL = ("", N_("as usual"))

FIELDS = (
    Field("prompt", "text", N_("prompt"), N_("with <lora:name:0.8> and (word:1.2); empty: those of the samples")),
    Field("negative", "text", N_("negative prompt"), N_("what to avoid; empty: as the samples")),
    Field("seeds", "text", N_("seeds"), N_("1, 2, 5-8; -1 is drawn now"), "-1"),
    Field("count", "number", N_("pictures a seed"), N_("of it and those that follow it"), "1"),
    Field("size", "text", N_("size"), N_("such as 512x768; empty: as the samples")),
    Field("steps", "number", N_("steps"), N_("of denoising; empty: as the samples")),
    Field("guidance", "number", N_("guidance"), N_("how closely the prompt is followed; empty: as the samples")),
    Field("sampler", "choice", N_("sampler"), N_("the method of denoising"), "",
          (USUAL, *((name, name) for name in A1111.values()))),
    Field("schedule", "choice", N_("schedule type"), N_("how noise levels are spaced"), "",
          (USUAL, *((name, name) for name in SPACINGS.values()))),
    Field("base", "model", N_("base model"), N_("empty: that of the project's newest configuration")),
    Field("vae", "model", N_("VAE"), N_("in the place of the model's own")),
    Field("clip_skip", "number", N_("clip skip"), N_("of Stable Diffusion 1.5; empty: as the configuration")),
    Field("file", "file", N_("prompt file"), N_("a prompt a line, with --n --w --h --s --l --d behind it")),
    Field("picture", "file", N_("settings of"), N_("a picture that lora-tui or A1111 drew")),
    Field("name", "text", N_("names"), N_("what the pictures' names begin with; empty: the time")),
)  # fmt: skip

GENERATE = Recipe("generate", N_("Generate pictures"), FIELDS, lambda _values: [], lambda _values, _out, _files: [],
                  strengths=True)  # fmt: skip


def request_of(values: Mapping[str, str], files: Sequence[Path], here: Path) -> Request:
    """What the fields ask for; ``here`` is the project.

    Raises:
        UserError: a number is none.
    """

    def told(name: str) -> str | None:
        return values.get(name, "").strip() or None

    def path(name: str) -> Path | None:
        return expand(text) if (text := told(name)) is not None else None

    strengths = [(file, values.get(f"{STRENGTH}{at}", "").strip()) for at, file in enumerate(files)]
    steps, count, clip_skip = (_number(name, told(name)) for name in ("steps", "count", "clip_skip"))
    wanted = Wanted(
        target=told("base") or "", here=here, prompts=tuple(filter(None, [told("prompt")])),
        negative=values["negative"] if told("negative") else None, steps=steps, guidance=_factor(told("guidance")),
        sampler=told("sampler"), schedule=told("schedule"), size=told("size"), vae=told("vae"), clip_skip=clip_skip,
        loras=tuple(f"{file}={text}" if text else str(file) for file, text in strengths),
    )  # fmt: skip
    return Request(
        wanted, prompt_file=path("file"), seeds=told("seeds") or "", count=1 if count is None else count,
        picture=path("picture"), name=told("name") or "",
    )  # fmt: skip


def _number(name: str, text: str | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        raise _wrong(name, text, _("{text} is no whole number.")) from None


def _factor(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        raise _wrong("guidance", text, _("{text} is no number.")) from None


def _wrong(name: str, text: str | None, message: str) -> UserError:
    title = next(_(one.title) for one in FIELDS if one.name == name)
    return UserError(
        message.format(text=plain(text or "", limit=40)), place=title, remedy=_("Give a number, or leave it empty."),
        code="generate.number",
    )  # fmt: skip
