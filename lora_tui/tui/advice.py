"""What the start screen says: advice drawn from checks and findings, and what happened lately. No widget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_tui.dataset.headings import title_of
from lora_tui.errors import UserError
from lora_tui.text import _, clock, count, ngettext, plain
from lora_tui.tui.road import MARK_OF_STATE, TONE_OF_MARK, state_words
from lora_tui.tui.wording import error_words, sentences
from lora_tui.tui.workspace import GROUPED_AT_MOST, Workspace

LATELY = 5
"""Runs and other projects that the start screen names."""


TOLD_BY_CHECKS = frozenset(("datasets.problems", "data.enlarged", "captions.missing", "captions.none"))
"""Findings on the configuration that the checks of the images tell in more detail."""

SAYS_EMPTY = frozenset(("datasets.missing", "datasets.no_images", "dataset.empty"))
"""What says in one way or another that there is no image: said once, by the first of them."""


@dataclass(frozen=True)
class Advice:
    """One thing that needs a person.

    Attributes:
        mark: a field of ``Marks``.
        text: what is so.
        remedy: what to do; may be empty.
        screen: where it is done; empty when no screen helps.
        place: the setting or the file there, as :meth:`BaseScreen.go_to` takes it.
        action: what can be done about it at once; its key is said in the text.
        code: of the finding or problem.
    """

    mark: str
    text: str
    remedy: str = ""
    screen: str = ""
    place: str = ""
    action: str = ""
    code: str = ""

    @property
    def tone(self) -> str:
        """The tone of the mark."""
        return TONE_OF_MARK.get(self.mark, "")


@dataclass(frozen=True)
class Recent:
    """One thing that happened, or another project: when, what, and where it leads."""

    when: str
    mark: str
    text: str
    run: Path | None = None
    project: Path | None = None


def advice_for(workspace: Workspace, key: Callable[[str], str]) -> tuple[Advice, ...]:
    """What needs a person, the gravest first; each kind of problem once, with how many files have it.

    In a folder with neither project nor images it is how to begin. ``key`` gives the key of an action.
    """
    images = workspace.images
    begun = workspace.saved or workspace.config_path is not None or bool(workspace.runs)
    if workspace.project is not None and not begun and images is not None and not images.tally.images:
        return (*(_of_error(error) for error in workspace.trouble), *_beginnings(key))
    found = [_of_error(error) for error in workspace.trouble]
    planned = workspace.planned
    if planned is not None:
        if planned.error is not None:
            found.append(Advice("failed", plain(planned.error.message), plain(planned.error.remedy), "dataset"))
        for finding in planned.findings:
            if finding.severity != "note" and finding.code not in TOLD_BY_CHECKS:
                mark = "failed" if finding.severity == "error" else "needs"
                words = plain(finding.message), plain(finding.remedy)
                found.append(Advice(mark, *words, "parameters", finding.field, code=finding.code))
    found += _of_images(workspace)
    found += _of_runs(workspace)
    if workspace.project is not None and not workspace.saved:
        found.append(
            Advice(
                "todo",
                _("{key} makes a project of this folder: purpose, trigger word, runs.").format(
                    key=key("home.new-project")
                ),
                _("It works without one, too; a project also keeps purpose and price, and its runs by number."),
                action="home.new-project",
            )
        )
    plan = workspace.plan
    ready = planned is not None and not any(finding.severity == "error" for finding in planned.findings)
    if plan is not None and ready and workspace.runs == ():
        steps = ngettext("{count} step", "{count} steps", plan.total_steps).format(count=count(plan.total_steps))
        text = _("{form}, then {start}, starts the first training: {steps}.")
        found.append(
            Advice(
                "todo",
                text.format(form=key("app.show-parameters"), start=key("parameters.start"), steps=steps),
                _("It asks before it starts, and goes on when the app is closed."),
                "parameters",
            )
        )
    order = {"failed": 0, "needs": 1, "empty": 1, "todo": 2}
    unique: dict[tuple[str, str], Advice] = {}
    for one in found:
        kind = ("", "empty") if one.code in SAYS_EMPTY else (one.text, one.screen)
        unique.setdefault(kind, one)
    return tuple(sorted(unique.values(), key=lambda one: order.get(one.mark, 1)))


def _beginnings(key: Callable[[str], str]) -> tuple[Advice, ...]:
    """How to begin, for a folder with nothing in it."""
    return (
        Advice(
            "todo",
            _("{key} makes a project: its folder of images, its purpose, its trigger word.").format(
                key=key("home.new-project")
            ),
            _("Images lie in a folder of the project, each with a caption of the same name beside it."),
            action="home.new-project",
        ),
        Advice(
            "todo",
            _("{key} opens a project, or any folder of images as one.").format(key=key("home.open-project")),
            _("Nothing is written into a folder that is only looked at."),
            action="home.open-project",
        ),
        Advice(
            "todo",
            _("lora-tui demo, in a shell, makes a small complete project to look around in."),
            _("It draws its images itself, needs no download, and trains on the CPU in about a minute."),
        ),
    )


def _of_error(error: UserError) -> Advice:
    """The end of the place says which file; the whole of it stands with the remedy."""
    return Advice("failed", error_words(error), plain(sentences(error.place, error.remedy)))


def _of_images(workspace: Workspace) -> list[Advice]:
    if workspace.images is None:
        return []
    kinds: dict[str, list[int]] = {}
    problems = workspace.images.problems
    for number, problem in enumerate(problems):
        if problem.severity == "note":
            continue
        kinds.setdefault(problem.code, []).append(number)
    found = []
    for numbers in kinds.values():
        first = problems[numbers[0]]
        same = all(problems[number].message == first.message for number in numbers)
        text = plain(first.message) if same else title_of(first.code)
        if len(numbers) == 1 and first.path.suffix:
            text = f"{plain(first.path.name, limit=40)}: {text}"
        if len(numbers) > 1:
            files = ngettext("({count} file)", "({count} files)", len(numbers)).format(count=count(len(numbers)))
            text = sentences(text, files)
        mark = "failed" if first.severity == "error" else "needs"
        found.append(Advice(mark, text, plain(first.remedy), "dataset", str(first.path), code=first.code))
    if workspace.images.checked and not workspace.images.decodable:
        words = _("Damage and near-duplicates are looked for in up to {most} images here; these are {count}.")
        text = words.format(most=count(GROUPED_AT_MOST), count=count(len(workspace.images.scan.images)))
        place = plain(str(workspace.root))
        remedy = _("In a shell, lora-tui dataset check {place} looks at all of them.").format(place=place)
        found.append(Advice("todo", text, remedy, "dataset", code="images.undecoded"))
    return found


def _of_runs(workspace: Workspace) -> list[Advice]:
    """What the keeper noticed of the run at work, or of the newest one."""
    newest = workspace.living or next(iter(workspace.runs or ()), None)
    found: list[Advice] = []
    if newest is None:
        return found
    for alarm in newest.alarms:
        what = _("run {number}: {what}").format(number=newest.number, what=plain(alarm.message))
        mark = "failed" if alarm.level == "error" else "needs"
        found.append(Advice(mark, what, plain(alarm.advice), "training", code=f"alarm.{alarm.code}"))
    return found


def recent_for(workspace: Workspace, projects: Sequence[Path], now: float) -> tuple[Recent, ...]:
    """The runs that ended last, and the projects that were open before."""
    ended = [status for status in workspace.runs or () if status.ended is not None and not status.alive]
    ended.sort(key=lambda status: status.ended or 0.0, reverse=True)
    found = []
    for status in ended[:LATELY]:
        text = _("run {number} {state}").format(number=status.number, state=state_words(status.state))
        if status.step:
            text += _(", ") + ngettext("{count} step", "{count} steps", status.step).format(count=count(status.step))
        if status.message:
            text = _("{what}: {why}").format(what=text, why=plain(status.message, limit=200))
        mark = MARK_OF_STATE.get(status.state, "todo")
        found.append(Recent(when(status.ended or now, now), mark, text, run=status.run.root))
    others = [path for path in projects if path != workspace.root][:LATELY]
    found += [Recent("", "", plain(str(path)), project=path) for path in others]
    return tuple(found)


def when(moment: float, now: float) -> str:
    """The time of a moment of today, the day of an earlier one."""
    same = clock(moment, "%Y-%m-%d") == clock(now, "%Y-%m-%d")
    return clock(moment, "%H:%M" if same else "%m-%d")
