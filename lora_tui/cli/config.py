"""``lora-tui config``: make a configuration, check it, plan its run, list presets."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.errors import UserError
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.config.findings import Finding
    from lora_tui.config.presets import Preset
    from lora_tui.config.schema import Config
    from lora_tui.project import Project


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from lora_tui.cli import config_exchange

    commands = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    new = commands.add_parser("new", help=_("write a configuration, for the project around it if there is one"))
    new.add_argument(
        "path",
        nargs="?",
        type=Path,
        metavar="PATH",
        help=_("default: configs/NAME.toml of the project, else config.toml"),
    )
    new.add_argument(
        "--preset",
        action="append",
        default=[],
        metavar="NAME",
        help=_("start from a preset; several are applied in order, such as: --preset character --preset 8gb"),
    )
    new.add_argument(
        "--prompts",
        type=Path,
        metavar="FILE",
        help=_("sample prompts from a text file, one a line, with sd-scripts' flags: a cat --w 512 --h 768 --d 1"),
    )
    new.add_argument("--force", action="store_true", help=_("replace an existing file"))
    check = commands.add_parser("check", help=_("say what is wrong or doubtful; exit status 3 on errors"))
    plan = commands.add_parser(
        "plan", help=_("say what a run would do and take: steps, files, memory, disk, time; exit status 3 on errors")
    )
    plan.add_argument(
        "--probe",
        action="store_true",
        help=_("really run two steps at the largest size and one sample, and say what they took"),
    )
    for command in (check, plan):
        command.add_argument("file", type=Path, metavar="FILE")
    for command in (new, check, plan):
        command.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            dest="values",
            help=_("change a setting, such as: --set network.rank=64 --set samples.0.prompt='a cat'"),
        )
    diff = commands.add_parser("diff", help=_("the settings that differ from those of a preset, a run or another file"))
    diff.add_argument("file", type=Path, metavar="FILE")
    diff.add_argument("other", metavar="OTHER", help=_("a preset's name, a run's folder, number or name, or a file"))
    presets = commands.add_parser("presets", help=_("list the presets"))
    save = commands.add_parser("save-preset", help=_("keep what a configuration changes as a preset of your own"))
    save.add_argument("file", type=Path, metavar="FILE")
    save.add_argument("name", metavar="NAME")
    save.add_argument("--title", default="", metavar="TEXT", help=_("its title in the list; the name when not given"))
    save.add_argument("--description", default="", metavar="TEXT", help=_("what it is for"))
    save.add_argument("--force", action="store_true", help=_("replace a preset of this name"))
    for command in (new, check, plan, diff, presets, save, *config_exchange.build(commands)):
        command.add_argument("--json", action="store_true", help=_("one JSON document on stdout"))


def run(args: argparse.Namespace) -> int:
    """Do what was asked."""
    from lora_tui.cli import config_exchange, config_plan, config_sets

    others = {"plan": config_plan.plan, "diff": config_sets.diff, "presets": config_sets.presets}
    others |= {"import": config_exchange.read, "export": config_exchange.write}
    return {"new": _new, "check": _check, **others, "save-preset": config_sets.save}[args.action](args)


def _new(args: argparse.Namespace) -> int:
    from lora_tui.cli.output import print_json, say
    from lora_tui.config.entries import at_resolution
    from lora_tui.config.family import with_family_of_base, with_samples_at_resolution
    from lora_tui.config.fresh import file_stem, new_config
    from lora_tui.config.load import save_config, set_values
    from lora_tui.config.mistakes import shown
    from lora_tui.config.presets import find_preset
    from lora_tui.config.prompt_lines import with_prompts
    from lora_tui.places import exists, is_folder
    from lora_tui.project import Project
    from lora_tui.text.plain import plain

    folder = args.path.absolute() if args.path and is_folder(args.path) else None  # a project's, say
    near = folder or (args.path.absolute().parent if args.path else Path.cwd())
    project = Project.find(near)
    usual = project.configs / f"{file_stem(project.name)}.toml" if project else (folder or Path()) / "config.toml"
    path = args.path if args.path and not folder else usual
    if exists(path) and not args.force:
        raise UserError(
            _("The file is there already."),
            place=plain(str(path)),
            remedy=_("Name another, or replace it with --force."),
            code="config.exists",
        )
    given = {key.strip(): value.strip() for key, _equals, value in (text.partition("=") for text in args.values)}
    family, origin = _family_told(given, project, args.preset)
    presets = [find_preset(name, family=family) for name in args.preset]
    for preset in presets:
        if family and preset.family != family:
            raise _other_family(preset, family, origin)
    begun = new_config(project, presets, family=family)
    config = set_values(begun, args.values)
    if "data.resolution" in given and not {"data.bucket_min", "data.bucket_max"} & given.keys():
        sides = at_resolution(config.data.resolution, begun.data)
        config = config.model_copy(update={"data": config.data.model_copy(update=sides)})
    config = with_samples_at_resolution(config, begun.data.resolution, own=_own_sizes(given))
    if "model.family" not in given:
        config = with_family_of_base(config)
    if args.prompts is not None:
        config = with_prompts(config, args.prompts, instead=True)
    save_config(config, path)
    if args.json:
        print_json(
            {"path": path.absolute(), "presets": [preset.name for preset in presets], "changed": _changed(config)}
        )
        return 0
    say(_("Wrote {path}").format(path=plain(str(path))))
    for key, value in _changed(config).items():
        say(f"  {key} = {shown(value)}")
    if (hint := _card_hint(config, presets)) is not None:
        say(hint)
    say(_("Next: lora-tui config check {path}").format(path=plain(str(path))))
    return 0


def _card_hint(config: Config, presets: Sequence[Preset]) -> str | None:
    """The preset of a card, where none was chosen and a step would not fit into this machine's, or into a usual one."""
    from lora_tui.config.outlook import USUAL_CARD, card_preset, usual_memory
    from lora_tui.jobs.resources import gpu_list
    from lora_tui.text.formats import bytes_text

    if config.memory.device == "cpu" or any(preset.kind == "memory" for preset in presets):
        return None
    there = max((gpu["memory_total"] for gpu in gpu_list()), default=USUAL_CARD * 1e9)
    card = card_preset(config.model.family, there)
    try:
        needed = usual_memory(config)
    except UserError:  # the check says what is wrong with the base model
        return None
    if card is None or needed <= there:
        return None
    return _("This is planned to take {needed} of memory; for a card of {size} GB add: --preset {name}").format(
        needed=bytes_text(needed), size=f"{card.memory_gb:g}", name=card.name
    )


def _own_sizes(given: Mapping[str, str]) -> set[int]:
    """The numbers of the samples to which ``--set`` gives a size of their own, flags behind a prompt counted."""
    found = set()
    for key, value in given.items():
        section, _dot, rest = key.partition(".")
        number, _dot, name = rest.partition(".")
        flags = name == "prompt" and re.search(r"--[wh]\s", value)
        if section == "samples" and number.isdecimal() and (name in ("width", "height") or flags):
            found.add(int(number))
    return found


def _family_told(given: dict[str, str], project: Project | None, presets: Sequence[str]) -> tuple[str, str]:
    """The family that is known before presets are chosen, and whose word it is; what is set here comes first."""
    from lora_tui.config.family import family_of
    from lora_tui.config.load import set_value
    from lora_tui.config.presets import list_presets
    from lora_tui.config.schema import Config
    from lora_tui.families import FAMILIES
    from lora_tui.text.plain import plain

    family = given.get("model.family", "")
    if family in FAMILIES:
        return family, "--set model.family"
    try:
        base = set_value(Config(), "model.base", given.get("model.base", "")).model.base
    except UserError:
        base = ""  # it is refused where it is set
    if family := family_of(base) if base else "":
        return family, _("the base model {base}").format(base=plain(base, limit=80))
    theirs = project.base_model if project is not None else ""
    if family := family_of(theirs) if theirs else "":
        return family, _("the project's base model {base}").format(base=plain(theirs, limit=80))
    named = next((preset for name in presets for preset in list_presets() if preset.name == name), None)
    return (named.family, _("the preset {name}").format(name=plain(named.name, limit=60))) if named else ("", "")


def _other_family(preset: Preset, family: str, origin: str) -> UserError:
    from lora_tui.text.plain import plain

    return UserError(
        _("The preset is for {family}, the configuration for {other}, by {origin}.").format(
            family=preset.family, other=family, origin=origin
        ),
        place=plain(preset.name, limit=60),
        remedy=_("Name a model of {family}: --set model.base=MODEL. Or take a preset for {other}: {names}.").format(
            family=preset.family, other=family, names=_presets_of(family, preset.kind)
        ),
        code="preset.family",
    )


def _presets_of(family: str, kind: str) -> str:
    from lora_tui.config.presets import list_presets

    return ", ".join(preset.name for preset in list_presets(family=family) if preset.kind == kind)


def _check(args: argparse.Namespace) -> int:
    from lora_tui.cli.config_plan import finding_lines, look, status_of
    from lora_tui.cli.output import print_json, say
    from lora_tui.config.findings import Finding
    from lora_tui.config.load import ConfigErrors, load_config, set_values
    from lora_tui.config.validate import check_config
    from lora_tui.runs.choose import runs_dir_for

    try:
        config = set_values(load_config(args.file), args.values)
    except ConfigErrors as wrong:
        place = f"{args.file}: "
        findings: tuple[Finding, ...] = tuple(
            Finding("error", item.place.removeprefix(place), item.message, item.remedy, item.code)
            for item in wrong.errors
        )
    else:
        quick = check_config(config)
        scan = plan = None
        if not any(finding.severity == "error" and finding.field.startswith("datasets") for finding in quick):
            scan, plan = look(config, quiet=args.json)
        findings = check_config(config, scan=scan, plan=plan, folder=runs_dir_for(args.file))
    if args.json:
        print_json({"file": args.file.absolute(), "findings": [finding.as_dict() for finding in findings]})
    else:
        for line in finding_lines(findings):
            say(line)
    return status_of(findings)


def _changed(config: Config) -> dict[str, Any]:
    """What differs from a configuration with defaults, by dotted key; entries of lists in full."""
    from lora_tui.config.fields import sections

    changed: dict[str, Any] = {}
    for section in sections():
        values = getattr(config, section.name)
        if section.repeated:
            changed.update(
                (f"{section.name}.{number}.{spec.name}", getattr(entry, spec.name))
                for number, entry in enumerate(values)
                for spec in section.fields
                if getattr(entry, spec.name) != spec.default
            )
            continue
        changed.update(
            (spec.key, getattr(values, spec.name))
            for spec in section.fields
            if getattr(values, spec.name) != spec.default
        )
    return changed
