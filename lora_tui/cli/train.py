"""``train``: start a training, or resume one, and follow it until it ends or the person leaves."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.config.schema import Config
    from lora_tui.jobs.launcher import Launched
    from lora_tui.jobs.slurm.options import Options
    from lora_tui.runs.folder import RunFolder
    from lora_tui.runs.status import RunStatus


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from lora_tui.cli import slurm_options

    parser.add_argument("config", nargs="?", metavar="CONFIG", help=_("a TOML file; see: lora-tui config new"))
    parser.add_argument("--detach", action="store_true", help=_("start it and return at once"))
    parser.add_argument("--queue", action="store_true", help=_("put it into the queue; see: lora-tui queue"))
    parser.add_argument("--resume", metavar="RUN", default="", help=_("go on with a run instead of starting one"))
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], dest="values", help=_("change a setting, repeatable")
    )
    parser.add_argument("--runs", metavar="DIR", default="", help=_("where run folders go; else the project's runs/"))
    parser.add_argument("--force", action="store_true", help=_("even where the disk may not hold all that it writes"))
    parser.add_argument(
        "--budget", metavar="2h", default="", help=_("save and stop in time: 90m, 2h, or money such as 2.50EUR")
    )
    parser.add_argument("--json", action="store_true", help=_("the result as JSON on stdout, progress on stderr"))
    slurm_options.add(parser)
    parser.add_argument("--dry-run", action="store_true", help=_("with --on slurm: show the script and send nothing"))


def run(args: argparse.Namespace) -> int:
    """Start or resume, then follow."""
    from lora_tui.cli.launched import place_of, stopping
    from lora_tui.cli.main import Usage

    if bool(args.config) == bool(args.resume):
        raise Usage(_("Name a configuration, or a run with --resume."), command="train")
    if args.resume and args.values:
        raise Usage(_("--set changes a new run; a resumed one keeps its settings."), command="train")
    if args.queue:
        from lora_tui.cli.queue_add import put, training_wish

        return put(training_wish(args), args)
    slurm = _slurm(args)
    if args.dry_run:
        return _shown(args, slurm)
    place = place_of(detach=args.detach)
    made: list[RunFolder] = []
    try:
        go = _resume if args.resume else _start
        started = go(args, made.append, place, slurm)
        if args.detach:
            return _detached(started, as_json=args.json)
        with stopping(started) if place else contextlib.nullcontext():
            return _follow(started, as_json=args.json)
    except KeyboardInterrupt:
        if not made:
            raise
        return _left(made[0], as_json=args.json)


def _slurm(args: argparse.Namespace) -> Options | None:
    """What Slurm is asked for; none where the run is to be on this machine."""
    from lora_tui.cli import slurm_options

    if args.resume:
        from lora_tui.runs.choose import choose_run

        return slurm_options.of_resume(args, choose_run(args.resume, Path.cwd()), command="train")
    return slurm_options.of_start(args, command="train")


def _shown(args: argparse.Namespace, slurm: Options | None) -> int:
    """Show what would be sent to Slurm."""
    from lora_tui.cli import slurm_options
    from lora_tui.cli.main import Usage
    from lora_tui.runs.choose import choose_run
    from lora_tui.runs.folder import free_name
    from lora_tui.runs.start import require_startable

    if slurm is None:
        raise Usage(_("--dry-run shows what --on slurm would send."), command="train")
    if args.resume:
        return slurm_options.show(choose_run(args.resume, Path.cwd()).root, slurm, as_json=args.json)
    config, runs_dir = _wanted(args, slurm.processes)
    require_startable(config, runs_dir, force=args.force, here=False)
    return slurm_options.show(free_name(runs_dir, config.saving.name), slurm, as_json=args.json)


def _wanted(args: argparse.Namespace, processes: int) -> tuple[Config, Path]:
    """The configuration that is to be trained, by several ``processes`` if it is more than one; where its run goes."""
    from lora_tui.config.load import load_config, set_values
    from lora_tui.runs.choose import runs_dir_for

    path = Path(args.config)
    more = [f"ending.budget={args.budget}"] if args.budget else []
    more += [f"memory.processes={processes}"] if processes > 1 else []
    runs_dir = Path(args.runs) if args.runs else runs_dir_for(path)
    return set_values(load_config(path), [*args.values, *more]), runs_dir.absolute()


def _is_another(values: Sequence[str]) -> bool:
    """Whether ``--set`` makes another run of a configuration: on which device it learns does not."""
    return any(one.partition("=")[0].strip() != "memory.device" for one in values)


def _start(
    args: argparse.Namespace, on_made: Callable[[RunFolder], None], place: Launched | None, slurm: Options | None
) -> RunFolder:
    from lora_tui.cli.launched import command
    from lora_tui.cli.output import note
    from lora_tui.config.rules import ending
    from lora_tui.runs.neighbours import neighbour_lines
    from lora_tui.runs.start import start_run
    from lora_tui.sweeps.folder import membership

    config, runs_dir = _wanted(args, place.count if place else slurm.processes if slurm else 1)
    for line in neighbour_lines(config) if slurm is None else ():
        note(line)
    for finding in ending.command(config):
        note(finding.message)
    return start_run(
        config,
        runs_dir,
        record_extra={} if _is_another(args.values) else membership(Path(args.config)),
        command=command() if place else None,
        slurm=slurm,
        force=args.force,
        on_made=on_made,
        on_warning=lambda told: note(f"{told.message} {told.remedy}"),
    )


def _resume(
    args: argparse.Namespace, on_made: Callable[[RunFolder], None], place: Launched | None, slurm: Options | None
) -> RunFolder:
    from lora_tui.cli.launched import command, require_at_rest
    from lora_tui.jobs.launch import uninterrupted
    from lora_tui.runs.choose import choose_run
    from lora_tui.runs.start import resume_run

    chosen = choose_run(args.resume, Path.cwd())
    if place:
        require_at_rest(chosen)
    with uninterrupted():
        first = command() if place else None
        started = resume_run(chosen, command=first, slurm=slurm, force=args.force, budget=args.budget)
        on_made(started)
    return started


def _detached(started: RunFolder, *, as_json: bool) -> int:
    from lora_tui.cli.follow import status_json
    from lora_tui.cli.output import print_json, say
    from lora_tui.runs.status import inspect

    if as_json:
        print_json(status_json(inspect(started)))
    else:
        status = inspect(started)
        if status.sent is not None:
            said = _("Sent {run} to Slurm: {words}").format(run=started.root, words=status.sent.words)
        else:
            said = _("Started {run}").format(run=started.root)
        say(said)
        say(_how_to(started))
    return 0


def _follow(started: RunFolder, *, as_json: bool) -> int:
    from lora_tui.cli.follow import ending_lines, follow
    from lora_tui.cli.output import Progress, print_json, say

    stream = sys.stderr if as_json else sys.stdout
    with Progress(_("step"), stream=stream) as screen:
        screen.line(str(started.root))
        status = follow(started, screen, history=True)
    if as_json:
        print_json(result_json(status))
    else:
        for line in [_ended_text(status), *ending_lines(status)]:
            say(line)
    return 0 if status.state in ("finished", "stopped") else 1


def _left(started: RunFolder, *, as_json: bool) -> int:
    """The person has left with Ctrl+C: say how to come back; a script gets what ``--detach`` gives it."""
    from lora_tui.cli.output import note

    note("")
    note(_("You have left; the training goes on."))
    note(_how_to(started))
    return _detached(started, as_json=True) if as_json else 0


def result_json(status: RunStatus) -> dict[str, Any]:
    """What a training came to: its state, the LoRA files with the newest last, and the final one."""
    from lora_tui.cli.follow import status_json

    files = [path for path, _size in checkpoint_files(status.run)]
    return {**status_json(status), "lora": files[-1] if files else None, "checkpoints": files}


def checkpoint_files(run_folder: RunFolder) -> list[tuple[Path, int]]:
    """The LoRA files of a run that are still there, with their bytes, oldest first."""
    found = []
    try:
        paths = list(run_folder.checkpoints_dir.iterdir())
    except OSError:
        return []
    for path in paths:
        if path.suffix == ".safetensors" and not path.name.startswith("."):
            with contextlib.suppress(OSError):  # removed just now, or a link to nowhere
                status = path.stat()
                found.append((status.st_mtime_ns, path, status.st_size))
    return [(path, size) for _time, path, size in sorted(found)]


def _ended_text(status: RunStatus) -> str:
    from lora_tui.runs.status import state_word
    from lora_tui.text.formats import count

    text = _("{state} at step {step}").format(state=state_word(status.state), step=count(status.step))
    files = checkpoint_files(status.run)
    return f"{text}: {files[-1][0]}" if files else text


def _how_to(started: RunFolder) -> str:
    from lora_tui.runs.choose import shell_name

    name = shell_name(started)
    stop = _("stop it:  lora-tui runs stop {run}").format(run=name)
    see = _("see it:   lora-tui attach {run}").format(run=name)
    return f"{stop}\n{see}"
