"""``runs note|tag|rate|best``: what a person says of a run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from lora_tui.errors import UserError
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.records.notes import Notes
    from lora_tui.runs.folder import RunFolder

ACTIONS = ("note", "tag", "rate", "best")


def build(commands: Any) -> None:
    """Declare the commands."""
    note = _command(commands, "note", _("write or show a run's note"))
    note.add_argument("text", nargs="*", metavar="TEXT", help=_("the note; nothing shows it"))
    note.add_argument("--append", action="store_true", help=_("as a further line"))
    note.add_argument("--clear", action="store_true", help=_("take the note away"))
    tag = _command(commands, "tag", _("give a run tags, or take them away"))
    tag.add_argument("tags", nargs="*", metavar="TAG", help=_("words; nothing shows them"))
    tag.add_argument("--remove", action="append", default=[], metavar="TAG", help=_("take this tag away"))
    rate = _command(commands, "rate", _("rate a run from 1 to 5"))
    rate.add_argument("rating", nargs="?", metavar="1-5", help=_("0 takes the rating away; nothing shows it"))
    best = _command(commands, "best", _("show or choose a run's best LoRA file"))
    best.add_argument("file", nargs="?", default="", metavar="FILE", help=_("name of a LoRA file, or its step"))
    best.add_argument("--strength", type=float, default=None, metavar="0.8", help=_("at which it was found best"))
    best.add_argument("--clear", action="store_true", help=_("let the validation loss decide again"))


def _command(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text)
    parser.add_argument("run", metavar="RUN", help=_("folder, name or number"))
    parser.add_argument("--dir", default=".", help=_("the project to look in"))
    parser.add_argument("--json", action="store_true", help=_("the result as JSON"))
    return parser


def run(chosen: RunFolder, args: argparse.Namespace) -> int:
    """Do what was asked for."""
    if args.action == "best":
        return _best(chosen, args)
    from lora_tui.records.notes import change_notes, change_tags, rating_in, read_notes, tags_in

    if args.action == "tag" and (args.tags or args.remove):
        notes = change_tags(chosen, tags_in(" ".join(args.tags)), tags_in(" ".join(args.remove)))
    elif args.action == "rate" and args.rating is not None:
        notes = change_notes(chosen, rating=rating_in(args.rating))
    elif args.action == "note" and (args.text or args.clear):
        before = read_notes(chosen).note if args.append else ""
        notes = change_notes(chosen, note="\n".join(part for part in (before, " ".join(args.text)) if part))
    else:
        notes = read_notes(chosen)
    return _tell(chosen, notes, args)


def notes_json(chosen: RunFolder, notes: Notes) -> dict[str, Any]:
    """What is noted as plain values."""
    return {"run": chosen.root, "note": notes.note, "tags": list(notes.tags), "rating": notes.rating or None}


def noted_json(chosen: RunFolder) -> dict[str, Any]:
    """Notes and the best file of a run, for what is told of it."""
    from lora_tui.records.best import best_of
    from lora_tui.records.notes import read_notes

    notes = read_notes(chosen)
    best = best_of(chosen, notes)
    told = {name: value for name, value in notes_json(chosen, notes).items() if name != "run"}
    if best is None:
        return {**told, "best": None, "best_why": "", "best_strength": None, "best_reason": "", "validation": None}
    chosen_for = notes.best_reason if best.why == "chosen" else ""
    return {
        **told, "best": best.checkpoint.path, "best_why": best.why, "best_strength": best.strength,
        "best_reason": chosen_for, "validation": best.checkpoint.validation,
    }  # fmt: skip


def noted_lines(chosen: RunFolder) -> list[str]:
    """The same in lines for a person; none where there is nothing."""
    from lora_tui.records.best import best_name
    from lora_tui.records.notes import Notes
    from lora_tui.text.formats import number
    from lora_tui.text.plain import plain

    told = noted_json(chosen)
    head = "  ".join(part for part in (Notes(rating=told["rating"] or 0).stars, " ".join(told["tags"])) if part)
    lines = [head, told["note"]]
    if told["best_why"] in ("chosen", "validation"):
        why = _("chosen by you") if told["best_why"] == "chosen" else ""
        loss = _("validation {loss}").format(loss=number(told["validation"])) if told["validation"] is not None else ""
        name = best_name(told["best"].name, told["best_strength"])
        words = "  ".join(part for part in (name, why, plain(told["best_reason"], limit=200), loss) if part)
        lines.append(_("best: {file}").format(file=words))
    return [line for line in lines if line]


def _tell(chosen: RunFolder, notes: Notes, args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say

    if args.json:
        print_json(notes_json(chosen, notes))
        return 0
    text = {"note": notes.note, "tag": " ".join(notes.tags), "rate": notes.stars}[args.action]
    say(text or _("Nothing is noted of {run}.").format(run=chosen.name))
    return 0


def _best(chosen: RunFolder, args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.records.best import best_name, best_of, checkpoints_of, course_of
    from lora_tui.records.notes import choose_best, read_notes
    from lora_tui.text.formats import bytes_text, count, number
    from lora_tui.text.plain import plain

    course = course_of(chosen)
    there = checkpoints_of(chosen, course)
    if args.strength is not None and not args.file:
        raise UserError(_("Name the file that has this strength."), place="--strength", code="usage")
    if args.clear:
        choose_best(chosen, "")
    elif args.file:
        wanted = args.file.removesuffix(".safetensors")
        found = [one for one in there if one.path.stem == wanted or (wanted.isdecimal() and one.step == int(wanted))]
        if not found:
            raise UserError(
                _("The run has no LoRA file {name}.").format(name=plain(args.file, limit=80)),
                place=plain(chosen.name),
                remedy=_("See: lora-tui runs best {run}").format(run=plain(chosen.name)),
                code="best.file",
            )
        choose_best(chosen, found[0].path.relative_to(chosen.root).as_posix(), strength=args.strength)
    best = best_of(chosen, read_notes(chosen), course)
    if args.json:
        files = [{"path": one.path, "step": one.step, "bytes": one.size, "validation": one.validation} for one in there]
        print_json({"best": best.checkpoint.path if best else None, "why": best.why if best else "",
                    "strength": best.strength if best else None, "files": files})  # fmt: skip
        return 0
    for one in there:
        sign = "*" if best is not None and one.path == best.checkpoint.path else " "
        loss = _("validation {loss}").format(loss=number(one.validation)) if one.validation is not None else ""
        step = _("step {step}").format(step=count(one.step)) if one.step else ""
        strength = best.strength if best is not None and one.path == best.checkpoint.path else None
        parts = [f"{sign} {best_name(one.path.name, strength)}", bytes_text(one.size), step, loss]
        say("  ".join(part for part in parts if part))
    say(best_words(best.why if best else ""))
    return 0


def best_words(why: str) -> str:
    """Why a file is the best one."""
    return {
        "chosen": _("* was chosen by you"),
        "validation": _("* has the lowest validation loss"),
        "last": _("* is the last one; no validation tells which is best"),
    }.get(why, _("The run has no LoRA file yet."))
