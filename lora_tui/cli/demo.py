"""``demo``: a small complete project, opened in the app or, with ``--headless``, checked, trained and judged."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.text.translate import _

if TYPE_CHECKING:
    from lora_tui.demo.likeness import Change, Learned
    from lora_tui.demo.project import Demo
    from lora_tui.grids.folder import GridFolder
    from lora_tui.runs.folder import RunFolder
    from lora_tui.runs.status import RunStatus


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "directory",
        nargs="?",
        default="lora-tui-demo",
        metavar="DIR",
        help=_("a new or empty folder, or an earlier demo; lora-tui-demo when not given"),
    )
    parser.add_argument(
        "--headless",
        action="store_true",
        help=_(
            "check the dataset, train on the CPU and measure what was learned, no screen; "
            "three minutes on two free cores"
        ),
    )
    parser.add_argument(
        "--grid",
        action="store_true",
        help=_("then draw and score a grid of its checkpoints, another minute; means --headless"),
    )
    parser.add_argument("--json", action="store_true", help=_("the result as JSON on stdout; means --headless"))


def run(args: argparse.Namespace) -> int:
    """Make the project, then open it or go through it."""
    from lora_tui.cli.output import note
    from lora_tui.demo.project import make_demo

    begun = time.monotonic()
    demo = make_demo(Path(args.directory), say=note)
    if args.headless or args.json or args.grid:
        return _walk(demo, begun, as_json=args.json, grid=args.grid)
    from lora_tui.cli.main import open_app

    return open_app(demo.root)


@dataclass(frozen=True)
class Checked:
    """What the check of the character's dataset found: images, captions, and problems by code."""

    images: int
    captions: int
    problems: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        return {"images": self.images, "captions": self.captions, "problems": self.problems}


@dataclass(frozen=True)
class Losses:
    """Steps of a run, and the mean losses of their first and last quarter (none without steps)."""

    steps: int
    first_quarter: float | None
    last_quarter: float | None


def check(demo: Demo) -> Checked:
    """Look at the character's dataset as ``dataset check`` does, with its configuration."""
    from lora_tui.config.load import load_config
    from lora_tui.dataset.checks import check_dataset
    from lora_tui.dataset.scan import scan_datasets
    from lora_tui.project import Project

    config, project = load_config(demo.config), Project.load(demo.root)
    scan = scan_datasets(config)
    found = check_dataset(scan, config=config, purpose=project.purpose, trigger=project.trigger, decode=True)
    captions = sum(1 for image in scan.images if image.caption_path is not None)
    return Checked(len(scan.images), captions, dict(sorted(Counter(problem.code for problem in found).items())))


def losses(run_folder: RunFolder) -> Losses:
    """What the loss did, from the run's events; values that are no numbers are left out."""
    from lora_tui.jobs.events import EventReader, as_number

    reader = EventReader(run_folder.events_path)
    values: list[float] = []
    while events := reader.poll():
        for event in events:
            value = as_number(event.get("loss")) if event.get("kind") == "step" else None
            if value is not None and value - value == 0:
                values.append(value)
    quarter = max(len(values) // 4, 1)
    if not values:
        return Losses(0, None, None)
    return Losses(len(values), sum(values[:quarter]) / quarter, sum(values[-quarter:]) / quarter)


def _walk(demo: Demo, begun: float, *, as_json: bool, grid: bool) -> int:
    """Check, train, measure, compare in a grid, report."""
    from lora_tui.cli.follow import follow
    from lora_tui.cli.output import Progress, note
    from lora_tui.cli.train import checkpoint_files
    from lora_tui.config.load import load_config
    from lora_tui.demo.likeness import measure
    from lora_tui.runs.start import start_run

    checked = check(demo)
    note(_dataset_line(checked))
    trained_from = time.monotonic()
    started = start_run(load_config(demo.config), demo.runs)
    try:
        with Progress(_("step"), stream=sys.stderr) as screen:
            screen.line(_("Training in a process of its own; it would go on without this terminal."))
            status = follow(started, screen, history=True)
    except KeyboardInterrupt:
        note("")
        note(_("You have left; the training goes on."))
        note(_("See it with: {command}").format(command=_command("attach", started.root)))
        return 0
    seconds = time.monotonic() - trained_from
    files, learned, compared = [path for path, _size in checkpoint_files(status.run)], None, None
    if status.state == "finished" and files:
        note(_("Drawing with and without the LoRA."))
        learned = measure(status.run.root, files[-1])
        compared = _compare(status.run.root) if grid else None
    report = _Report(
        demo, checked, status, files, losses(status.run), seconds, learned, compared, time.monotonic() - begun,
        grid=grid,
    )  # fmt: skip
    return report.as_json() if as_json else report.as_lines()


def _compare(run: Path) -> GridFolder | None:
    """Draw and score a grid of the run; none where it was left, or did not become whole."""
    from lora_tui.cli.output import note
    from lora_tui.cli.tasks import follow, lines
    from lora_tui.demo.grid import start_grid

    note(_("Drawing a grid of checkpoints against strength."))
    folder, task = start_grid(run)
    status = follow(task)
    if status.state == "finished" and status.result.get("complete"):
        return folder
    for line in lines(status):
        note(line)
    return None


@dataclass(frozen=True)
class _Report:
    """Everything that a headless demo tells; ``learned`` is none when the training did not finish, ``compared`` (the
    grid) when there is none or it is not whole; ``grid`` tells whether there should be one."""

    demo: Demo
    checked: Checked
    status: RunStatus
    files: list[Path]
    losses: Losses
    training_seconds: float
    learned: Learned | None
    compared: GridFolder | None
    seconds: float
    grid: bool = False

    @property
    def exit_status(self) -> int:
        return 0 if self.learned is not None and (self.compared is not None or not self.grid) else 1

    def as_json(self) -> int:
        """Print the JSON document; the exit status."""
        from lora_tui.cli.follow import status_json
        from lora_tui.cli.output import print_json

        told = self.losses
        result: dict[str, Any] = {
            **status_json(self.status),
            "project": self.demo.root,
            "dataset": self.checked.as_json(),
            "lora": self.files[-1] if self.files else None,
            "checkpoints": self.files,
            "steps": told.steps,
            "loss_first_quarter": told.first_quarter,
            "loss_last_quarter": told.last_quarter,
            "training_seconds": round(self.training_seconds, 1),
            "likeness": self.learned.as_json() if self.learned is not None else None,
            "grid": self._grid_json(),
            "seconds": round(self.seconds, 1),
        }
        print_json(result)
        return self.exit_status

    def _grid_json(self) -> dict[str, Any] | None:
        from lora_tui.cli.grid import grid_json

        if self.compared is None:
            return None
        return {"grid": self.compared.root, **grid_json(self.compared, cells=True)}

    def as_lines(self) -> int:
        """Print it for a person; the exit status."""
        from lora_tui.cli.follow import ending_lines
        from lora_tui.cli.output import say
        from lora_tui.text.plain import plain

        if self.learned is None:
            for line in [_("The training did not finish."), *ending_lines(self.status)]:
                say(line)
            say(_("log    {path}").format(path=plain(str(self.status.run.log_path))))
            return 1
        for line in [
            _dataset_line(self.checked),
            *self._training_lines(),
            *learned_lines(self.learned),
            *self._recommended(),
            *self._ways_on(),
        ]:
            say(line)
        return self.exit_status

    def _recommended(self) -> list[str]:
        from lora_tui.cli.grid_score import recommended_lines
        from lora_tui.scores.told import read_scores

        found = read_scores(self.compared.root) if self.compared is not None else None
        return recommended_lines(found) if found is not None else []

    def _training_lines(self) -> list[str]:
        from lora_tui.text.formats import count, duration, number

        told = self.losses
        return [
            _("Trained {steps} steps in {time}.").format(steps=count(told.steps), time=duration(self.training_seconds)),
            _("loss   {first} in the first quarter, {last} in the last").format(
                first=number(told.first_quarter), last=number(told.last_quarter)
            ),
        ]

    def _ways_on(self) -> list[str]:
        from lora_tui.text.formats import bytes_text, duration
        from lora_tui.text.plain import plain

        assert self.learned is not None
        lora, root = self.files[-1], self.status.run.root
        size = bytes_text(lora.stat().st_size)
        return [
            _("LoRA   {path} ({size})").format(path=plain(str(lora)), size=size),
            _("sheet  {path}").format(path=plain(str(self.learned.sheet))),
            *([_("grid   {path}").format(path=plain(str(self.compared.root)))] if self.compared is not None else []),
            _("run    {path}").format(path=plain(str(root))),
            _("open   {command}").format(command=_command("attach", root)),
            _("files  {command}").format(command=_command("lora", "info", lora)),
            _("style  {command}").format(command=_command("train", self.demo.style_config)),
            _("edit   {command}").format(command=_command(self.demo.root)),
            _("All of it took {time}.").format(time=duration(self.seconds)),
        ]


def _dataset_line(checked: Checked) -> str:
    from lora_tui.text.formats import count

    return _("{images} images, {captions} captions, {problems} problems: {codes}").format(
        images=count(checked.images),
        captions=count(checked.captions),
        problems=count(sum(checked.problems.values())),
        codes=", ".join(checked.problems) or "-",
    )


def learned_lines(learned: Learned) -> list[str]:
    """What was learned, for a person: 0 is like any picture, 1 like another training image."""
    from lora_tui.text.formats import number

    return [
        _("Likeness to the training images (0 any picture, 1 one of theirs):"),
        "  " + _likeness_line(_("with the trigger word"), learned.trigger),
        "  " + _likeness_line(_("without it"), learned.plain),
        "  "
        + _("bleed: without the trigger word the pictures differ by {share}").format(
            share=f"{number(100 * learned.plain.pixels, 2)} %"
        ),
    ]


def _likeness_line(name: str, change: Change) -> str:
    from lora_tui.text.formats import number

    return _("{name}: {before} at strength 0, {after} at 1: {margin} more, {times} times its spread over seeds").format(
        name=name,
        before=number(change.at_0.mean, 2),
        after=number(change.at_1.mean, 2),
        margin=number(change.margin.mean, 2),
        times=number(change.margin_over_spread, 1),
    )


def _command(*words: str | Path) -> str:
    """A command line to copy: with the plain name where the shell finds this very program by it, else with its path."""
    from lora_tui.text.plain import plain

    own = Path(sys.executable).parent / "lora-tui"
    found = shutil.which("lora-tui")
    if own.exists() and (found is None or not own.samefile(found)):
        program = own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own
    else:
        program = Path("lora-tui")
    return plain(shlex.join(map(str, (program, *words))))
