"""Starting a training from its configuration, and going on with one that ended early."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.errors import UserError
from lora_tui.jobs import control, launch
from lora_tui.jobs.lock import holder
from lora_tui.jobs.slurm.calls import require as require_slurm
from lora_tui.jobs.slurm.send import leave, send
from lora_tui.jobs.ticket import hand_in
from lora_tui.runs.aftermath import command_at_work
from lora_tui.runs.choose import shell_name, shell_path
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.price import check_budget, price_entries
from lora_tui.runs.record import first_record, read_record
from lora_tui.runs.status import inspect, state_words
from lora_tui.text.plain import plain
from lora_tui.text.translate import _, ngettext

if TYPE_CHECKING:
    from lora_tui.config.schema import Config
    from lora_tui.config.validate import Finding
    from lora_tui.dataset.scan import Scan
    from lora_tui.jobs.slurm.options import Options


INSISTED = frozenset({"disk.too_small", "run.on_finish"})
"""Codes of what a resume refuses unless somebody insists."""

DEVICES = frozenset({"optimizer.needs_cuda", "processes.too_few_devices"})
"""Codes of what only the machine that trains can be asked."""

LEAVING = 20.0
"""Seconds that a process which has ended its work may take to leave before a resume gives up on it."""


def start_run(
    config: Config,
    runs_dir: Path,
    *,
    record_extra: dict[str, Any] | None = None,
    scan: Scan | None = None,
    command: Sequence[str] | None = None,
    slurm: Options | None = None,
    force: bool = False,
    on_made: Callable[[RunFolder], None] = lambda _run: None,
    on_warning: Callable[[Finding], None] = lambda _finding: None,
) -> RunFolder:
    """Check ``config``, make a run folder for it, and start its training in a process of its own.

    Args:
        record_extra: more entries for the run's record.
        scan: the datasets of ``config`` if they have been scanned already.
        command: another program in the trainer's place.
        slurm: send it to Slurm and ask for this there, instead of starting it on this machine.
        force: start it where the disk may not hold all that it writes, too.
        on_made: called with the folder just before the process is started in it.
        on_warning: called with what this machine is too small for and is tried all the same.

    Raises:
        UserError: the configuration has an error, the folder cannot be made, or the job does not start.
    """
    from lora_tui.config.load import dump_config

    if slurm is not None:
        require_slurm()
    for finding in require_startable(config, runs_dir, scan=scan, force=force, here=slurm is None):
        on_warning(finding)
    record = {**first_record(), **price_entries(runs_dir), **(record_extra or {})}
    check_budget(config.ending.budget, record)
    text = dump_config(config, comments=True)
    with launch.uninterrupted():
        run = RunFolder.create(runs_dir, config.saving.name, text, record)
        on_made(run)
        hand_in(run.root)
        if slurm is None:
            launch.start(run.root, command=command)
        else:
            send(run.root, slurm)
    return run


def resume_run(
    run: RunFolder,
    *,
    command: Sequence[str] | None = None,
    slurm: Options | None = None,
    force: bool = False,
    budget: str = "",
) -> RunFolder:
    """Go on with a run: a paused one is asked to, any other starts from its newest state.

    A run without a state starts anew in its folder. ``force``: where the disk may not hold what is left to write, and
    beside the command after its earlier end, too (see :data:`INSISTED`). ``budget``, a time or an amount of money,
    holds for this life in place of the configuration's. ``slurm``: what Slurm is asked for; without it the run goes on
    on this machine.

    Raises:
        UserError: it is at work, it is complete, its folder is from a newer version or no run, the disk may not hold
            what is left to write, the command after its earlier end is at work, or the job does not start.
    """
    if not run.config_path.is_file():
        raise UserError(
            _("This is no run folder: it has no config.toml."),
            place=str(run.root),
            remedy=_("See: lora-tui runs list"),
            code="run.not_found",
        )
    run.require_known_format()
    status = inspect(run)
    if status.waits:
        return _asked_to(run)
    if status.alive and not (status.code == "slurm.unasked" and slurm is None):
        remedy = _("Watch it: lora-tui watch {run}").format(run=shell_name(run))
        if status.state == "waiting":
            remedy = _("Take it back first: lora-tui runs stop {run}").format(run=shell_name(run))
        raise UserError(
            _("It is running: {state}.").format(state=state_words(status)),
            place=run.name,
            remedy=remedy,
            code="run.locked",
        )
    if status.state == "finished":
        raise UserError(
            _("The run is complete."),
            place=run.name,
            remedy=_("To train it further, start a new run from its LoRA: {command}").format(command=_further(run)),
            code="run.complete",
        )
    if not force:
        again = _("lora-tui runs resume {run} --force goes on all the same.").format(run=shell_name(run))
        _refuse_beside(command_at_work(run), run, again)
        _refuse(_left_to_write(run), again)
    check_budget(budget, read_record(run))
    _wait_until_gone(run)
    hand_in(run.root)
    if slurm is not None:
        send(run.root, slurm, budget=budget)
    else:
        leave(run.root)
        launch.start(run.root, resume=True, command=command, budget=budget)
    return run


def _asked_to(run: RunFolder) -> RunFolder:
    """Ask a paused run to go on."""
    hand_in(run.root)
    control.request(run.root, "resume")
    return run


def _refuse_beside(command: str, run: RunFolder, door: str) -> None:
    """Refuse to go on beside the command after the earlier end: it may stop the machine that the run needs."""
    if command:
        raise UserError(
            _("The command after its end is still running: {command}.").format(command=plain(command, limit=200)),
            place=run.name,
            remedy=" ".join((_("Wait until it has ended."), door)),
            code="run.on_finish",
        )


def _further(run: RunFolder) -> str:
    """The command of a new run that begins with what this one learned, as a person types it."""
    from lora_tui.config.load import load_config

    try:
        lora = run.checkpoints_dir / f"{load_config(run.config_path).saving.name}.safetensors"
    except UserError:  # of a newer version, or edited by hand
        lora = run.checkpoints_dir / "LORA.safetensors"
    return f"lora-tui train {shell_path(run.config_path)} --set network.start_from={shell_path(lora)}"


def _wait_until_gone(run: RunFolder) -> None:
    """Let a process that has said its last word leave; it takes its time when it frees a GPU."""
    deadline = time.monotonic() + LEAVING
    while time.monotonic() < deadline:
        if holder(run.lock_path) is None and holder(run.keeper_lock_path) is None:
            return
        time.sleep(0.05)


def require_startable(
    config: Config, runs_dir: Path, *, scan: Scan | None = None, force: bool = False, here: bool = True
) -> list[Finding]:
    """Refuse what :func:`start_run` would refuse; else what this machine is too small for and is tried all the same.

    ``here``: it is this machine that trains; else nothing is refused or said for its devices.

    Raises:
        UserError: the configuration has an error, or the disk may not hold what it writes and it is not ``force``.
    """
    found = _check(config, scan, runs_dir, here=here)
    if not force:
        _refuse(found, _("lora-tui train CONFIG --force starts it all the same."))
    return found


def _check(config: Config, scan: Scan | None, runs_dir: Path, *, here: bool) -> list[Finding]:
    """Refuse what has an error, room on the disk included; what is to be known of the machine before it starts."""
    from lora_tui.config.rules import room
    from lora_tui.config.validate import check_config
    from lora_tui.dataset.batches import make_plan

    elsewhere = frozenset() if here else DEVICES
    _refuse([found for found in check_config(config) if found.code not in elsewhere])
    if scan is None:
        from lora_tui.dataset.scan import scan_datasets

        scan = scan_datasets(config)
    _refuse([found for found in check_config(config, scan=scan) if found.code not in elsewhere])
    # taken as unlike each other, images need not be decoded: which of them are held out changes no size
    look = room.plan if here else room.disk
    return list(look(config, make_plan(config, scan, groups={}), runs_dir))


def _left_to_write(run: RunFolder) -> list[Finding]:
    """What the disk cannot hold of the rest; nothing where the run cannot be planned, which its trainer tells."""
    from lora_tui.config.load import load_config
    from lora_tui.config.rules import room
    from lora_tui.dataset.batches import make_plan
    from lora_tui.dataset.scan import scan_datasets

    try:
        config = load_config(run.config_path)
        data = make_plan(config, scan_datasets(config), groups={})
        return list(room.disk(config, data, run.root, run.root))
    except (UserError, OSError, ValueError):
        return []


def _refuse(findings: Sequence[Finding], door: str = "") -> None:
    """Raise the first error; ``door`` says what to do all the same."""
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        return
    first, more = errors[0], len(errors) - 1
    message = first.message
    if more:
        message += " " + ngettext("({count} more error)", "({count} more errors)", more).format(count=more)
    raise UserError(message, place=first.field, remedy=f"{first.remedy} {door}".rstrip(), code=first.code)
