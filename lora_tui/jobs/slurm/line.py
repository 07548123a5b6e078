"""The options as a person types them in the app (``partition=gpu gpus=2 time=4h``), and as commands take them."""

from __future__ import annotations

import shlex
from dataclasses import fields, replace

from lora_tui.errors import UserError
from lora_tui.jobs.slurm.options import Options, options_from
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

NAMES = ("partition", "gpus", "time", "nodes", "account", "qos", "memory", "cpus")


def line_of(options: Options) -> str:
    """What differs from asking for nothing; further options and set-up lines stay in the settings."""
    default = Options()
    said = {name: getattr(options, name) for name in NAMES if getattr(options, name) != getattr(default, name)}
    words = [f"{name}={shlex.quote(str(value))}" for name, value in said.items()]
    return " ".join([*words, *([] if options.requeue else ["requeue=no"])])


def words_of(options: Options) -> tuple[str, ...]:
    """The options as ``lora-tui train`` takes them, all that were asked for among them."""
    default = Options()
    said = [(name, getattr(options, name)) for name in NAMES if getattr(options, name) != getattr(default, name)]
    more = [("sbatch", one) for one in options.lines] + [("setup", one) for one in options.setup]
    words = [f"--{name}={value}" for name, value in (*said, *more)]
    return ("--on", "slurm", *words, "--requeue" if options.requeue else "--no-requeue")


def options_of(text: str, start: Options) -> Options:
    """The options that a line says; ``start`` gives the further options and set-up lines, which no line has.

    Raises:
        UserError: ``slurm.option``.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(_("A quotation mark is missing."), place=plain(text, limit=60), code="slurm.option") from error
    said: dict[str, object] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in (*NAMES, "requeue"):
            names = ", ".join((*NAMES, "requeue"))
            raise UserError(
                _("{word} is no option.").format(word=plain(word, limit=60)),
                remedy=_("Write name=value; the names are {names}.").format(names=names),
                code="slurm.option",
            )
        said[name] = value.lower() not in ("no", "false", "0") if name == "requeue" else value
    kept = {item.name: getattr(start, item.name) for item in fields(Options) if item.name in ("lines", "setup")}
    return options_from(said, replace(Options(), **kept))
