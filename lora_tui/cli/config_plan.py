"""``lora-tui config plan``: what a run would do and take, reckoned or probed; and what a check says, in lines."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.text.translate import N_, _, ngettext

if TYPE_CHECKING:
    from lora_tui.config.findings import Finding
    from lora_tui.config.plan import RunPlan
    from lora_tui.config.schema import Config
    from lora_tui.dataset.batches import DataPlan
    from lora_tui.dataset.scan import Scan
    from lora_tui.project import Project
    from lora_tui.runs.probe import Probe

MARKS = {"error": "×", "warning": "!", "note": "·"}
WORDS = {"error": N_("error"), "warning": N_("warning"), "note": N_("note")}
SHOWN_STEPS = 6


def plan(args: argparse.Namespace) -> int:
    """Say what a run would do and take; 3 where it would not start."""
    from lora_tui.cli.output import print_json, say
    from lora_tui.config.counsel import advise
    from lora_tui.config.history import past_probes, past_runs_elsewhere, past_runs_in
    from lora_tui.config.load import load_config, set_values
    from lora_tui.config.plan import plan_run
    from lora_tui.config.rules.room import fit_for
    from lora_tui.config.validate import check_config
    from lora_tui.project import Project
    from lora_tui.runs.choose import runs_dir_for
    from lora_tui.runs.probe_words import probe_lines
    from lora_tui.text.plain import plain

    config = set_values(load_config(args.file), args.values)
    for finding in check_config(config):
        if finding.severity == "error" and finding.field.startswith("datasets"):
            place = f"{args.file}: {finding.field}"
            raise UserError(finding.message, place=plain(place), remedy=finding.remedy, code=finding.code)
    project = Project.find(args.file.absolute().parent)
    scan, data = look(config, quiet=args.json)
    if data is None:
        raise UserError(
            _("There is no image to train on."),
            place=", ".join(entry.path for entry in config.datasets),
            remedy=_("See: lora-tui dataset check DIR"),
            code="dataset.empty",
        )
    history = (
        *(past_runs_in(project.runs) if project else ()),
        *past_runs_elsewhere(project.root if project else None),
    )
    root = project.root if project else args.file.absolute().parent
    found = _probed(config, data, root, quiet=args.json) if args.probe else None
    price = project.price_per_hour if project else 0.0
    plan = plan_run(config, scan, data, history=(*past_probes(root), *history), price_per_hour=price)
    free = _free_bytes(args.file.absolute().parent)
    purpose = project.purpose if project else ""
    findings = [
        *check_config(config, scan=scan, plan=data, folder=runs_dir_for(args.file)),
        *advise(config, data, purpose=purpose, seconds=plan.seconds),
    ]
    if args.json:
        told = {"disk_free": free, "findings": [finding.as_dict() for finding in findings]}
        change = fit_for(config, data)
        told["fits_with"] = dict(change.values) if change else {}
        print_json({"file": args.file.absolute(), **plan.as_dict(), **told, "probe": found and found.as_dict()})
        return status_of(findings)
    for line in _plan_lines(plan, free, project):
        say(line)
    for line in probe_lines(found, plan) if found is not None else ():
        say(line)
    for line in _told_lines(findings):
        say(line)
    return status_of(findings)


def _probed(config: Config, data: DataPlan, root: Path, *, quiet: bool) -> Probe:
    """Run the probe, with its phases on stderr, and keep what it measured for later plans."""
    from lora_tui.cli.output import Progress
    from lora_tui.runs.neighbours import neighbour_lines
    from lora_tui.runs.probe import probe, remember_probe
    from lora_tui.runs.probe_words import phase_word

    with Progress(_("probe"), quiet=quiet) as progress:
        for line in neighbour_lines(config):
            progress.show(line)
        found = probe(config, data, told=lambda phase: progress.show(f"{_('probe')}: {phase_word(phase)}"))
    remember_probe(root, config, found)
    return found


def _told_lines(findings: Sequence[Finding]) -> Iterator[str]:
    """What speaks against the run and what experience advises, gravest first; other notes are left to the check."""
    for finding in findings:
        if finding.severity != "note" or finding.code.startswith("advice."):
            yield f"{MARKS[finding.severity]} {finding.message}"
            if finding.remedy:
                yield f"  {finding.remedy}"


def status_of(findings: Sequence[Finding]) -> int:
    """The exit status of what was found: 3 where a run would not start."""
    return 3 if any(finding.severity == "error" for finding in findings) else 0


def look(config: Config, *, quiet: bool) -> tuple[Scan, DataPlan | None]:
    """The images and the batches, with progress on stderr; no batches without images."""
    from lora_tui.cli.output import Progress
    from lora_tui.dataset.batches import make_plan, validation_count
    from lora_tui.dataset.scan import scan_datasets

    with Progress(_("reading images"), quiet=quiet) as progress:
        scan = scan_datasets(config, on_progress=progress.update)
    images = len(scan.images)
    if not images:
        return scan, None
    groups: dict[str, int] = {}
    if validation_count(images, config.validation.mode, config.validation.share):
        from lora_tui.dataset.similar import image_groups

        with Progress(_("comparing images"), images, quiet=quiet) as progress:
            groups = image_groups(scan.images, on_progress=progress.update)
    return scan, make_plan(config, scan, groups=groups)


def finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        mark = f"{MARKS[finding.severity]} {_(WORDS[finding.severity])}"
        yield f"{mark}  {finding.field}: {finding.message}" if finding.field else f"{mark}  {finding.message}"
        if finding.remedy:
            yield f"    {finding.remedy}"
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = sum(finding.severity == "warning" for finding in findings)
    if errors:
        yield ngettext(
            "{count} error: a run would not start.", "{count} errors: a run would not start.", errors
        ).format(count=errors)
    elif warnings:
        yield ngettext("Ready, with {count} warning.", "Ready, with {count} warnings.", warnings).format(count=warnings)
    else:
        yield _("Ready.")


def _plan_lines(plan: RunPlan, free: int, project: Project | None) -> Iterator[str]:
    from lora_tui.cli.output import width

    rows = [*_course_rows(plan), *_cost_rows(plan, free, project)]
    room = max(width(label) for label, _value in rows)
    for label, value in rows:
        yield f"{label}{' ' * (room - width(label))}  {value}"


def _course_rows(plan: RunPlan) -> Iterator[tuple[str, str]]:
    from lora_tui.text.formats import bytes_text, count

    yield _("steps"), plan.arithmetic
    sizes = [f"{bucket.width}x{bucket.height} ({count(bucket.images)})" for bucket in plan.buckets]
    yield _("buckets"), ", ".join(sizes)
    saves = ngettext("{count} LoRA file of {size}", "{count} LoRA files of {size}", len(plan.checkpoints))
    files = saves.format(count=count(len(plan.checkpoints)), size=bytes_text(plan.lora_bytes))
    yield _("saved"), _("{files} after steps {steps}").format(files=files, steps=_some(plan.checkpoints))
    if plan.samples:
        drawn = ngettext("{count} image", "{count} images", plan.samples).format(count=count(plan.samples))
        yield _("samples"), _("{images} at steps {steps}").format(images=drawn, steps=_some(plan.sample_steps))
    if plan.validation_steps:
        held = ngettext("{count} image", "{count} images", plan.validation_images).format(count=plan.validation_images)
        yield _("validation"), _("{images} at steps {steps}").format(images=held, steps=_some(plan.validation_steps))


def _cost_rows(plan: RunPlan, free: int, project: Project | None) -> Iterator[tuple[str, str]]:
    from lora_tui.text.formats import bytes_text, duration, number
    from lora_tui.text.plain import plain

    yield _("memory"), f"{bytes_text(plan.memory_total)}  {_parts(plan.memory_bytes)}"
    disk = _("{size} of {free} free").format(size=bytes_text(plan.disk_total), free=bytes_text(free))
    yield _("disk"), f"{disk}  {_parts(plan.disk_bytes)}"
    if plan.caption_bytes >= LARGE_CAPTION:
        told = _("the embeddings of a caption take {size}, kept once on disk and in memory while there is room")
        yield _("text"), told.format(size=bytes_text(plan.caption_bytes))
    if plan.seconds is None or plan.step_seconds is None:
        yield _("time"), _("the first run here will tell")
    else:
        told = _("about {time} ({seconds} s a step, as in {run})")
        if plan.rough:
            told = _("roughly {time} ({seconds} s a step, guessed from {run})")
        yield (
            _("time"),
            told.format(
                time=duration(plan.seconds), seconds=number(plan.step_seconds, 2), run=plain(plan.source, limit=60)
            ),
        )
    if plan.cost is not None and project is not None:
        told = _("about {cost} {currency} at {price} an hour")
        text = told.format(cost=f"{plan.cost:.2f}", currency=project.currency, price=f"{project.price_per_hour:.2f}")
        yield _("cost"), " ".join(text.split())


LARGE_CAPTION = 1_000_000  # bytes of embeddings that are worth a word

_PARTS = {
    "process": N_("torch itself"),
    "weights": N_("weights"),
    "adapter": N_("adapter"),
    "gradients": N_("gradients"),
    "optimizer": N_("optimizer"),
    "activations": N_("activations"),
    "checkpoints": N_("LoRA files"),
    "states": N_("states"),
    "samples": N_("samples"),
    "latents": N_("latents"),
    "texts": N_("text embeddings"),
    "packed": N_("packed base model"),
}


def _parts(parts: dict[str, int]) -> str:
    from lora_tui.text.formats import bytes_text

    return ", ".join(f"{_(_PARTS.get(name, name))} {bytes_text(size)}" for name, size in parts.items() if size)


def _some(steps: Sequence[int]) -> str:
    from lora_tui.text.formats import count

    if len(steps) <= SHOWN_STEPS:
        return ", ".join(count(step) for step in steps)
    return ", ".join(count(step) for step in steps[: SHOWN_STEPS - 1]) + f" … {count(steps[-1])}"


def _free_bytes(folder: Path) -> int:
    """Room on the disk of ``folder`` for a person without special rights."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
