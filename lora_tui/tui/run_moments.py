"""What happened in a run, one line each: files, samples, warnings, requests. Drawn from its story."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from lora_tui.runs.facts import Saved
from lora_tui.runs.story import RunStory
from lora_tui.text import _, bytes_text, clock, ngettext, plain
from lora_tui.tui.wording import sentences


@dataclass(frozen=True)
class Moment:
    """Something that happened after ``step``; ``time`` in unix seconds, 0 where it is not known.

    ``brief`` says it where one line has to do; empty where the text does.
    """

    step: int
    order: int
    time: float
    text: str
    tone: str = ""
    brief: str = ""

    @property
    def clock(self) -> str:
        """The time of day in eight cells, blank when unknown."""
        return (clock(self.time) if self.time else "") or " " * 8


class Moments:
    """The moments of a story, oldest first; made again only when there are more of them."""

    def __init__(self, story: RunStory) -> None:
        self._story = story
        self._sizes: tuple[int, ...] = ()
        self._found: tuple[Moment, ...] = ()

    def all(self) -> tuple[Moment, ...]:
        """All moments."""
        story = self._story
        lists = (
            story.checkpoints, story.states, story.samples, story.markers, story.warnings, story.measured,
        )  # fmt: skip
        sizes = (*(len(items) for items in lists), story.step if story.ending else 0)
        if sizes != self._sizes:
            self._sizes = sizes
            self._found = tuple(sorted(_moments(story), key=lambda moment: (moment.step, moment.time, moment.order)))
        return self._found


def request_word(kind: str) -> str:
    """A request in the current language."""
    return {
        "stop": _("stop and save"),
        "stop_now": _("stop now"),
        "save": _("save now"),
        "sample": _("sample now"),
        "validate": _("validate"),
        "pause": _("pause"),
        "resume": _("go on"),
        "set": _("change"),
        "measure": _("measure images"),
    }.get(kind, plain(kind))


def status_word(status: str) -> str:
    """What became of a request, in the current language."""
    return {"accepted": _("accepted"), "done": _("done"), "rejected": _("rejected")}.get(status, plain(status))


def _end_word(reason: str) -> str:
    return _("finished") if reason == "completed" else _("stopped")


def _moments(story: RunStory) -> list[Moment]:
    found = [_saved(story, item, _("saved {file}")) for item in story.checkpoints]
    found += [_saved(story, item, _("resume state {file}")) for item in story.states]
    for step, items in groupby(story.samples, key=lambda sample: sample.step):
        drawn = len(list(items))
        text = ngettext("drew {count} sample", "drew {count} samples", drawn).format(count=drawn)
        found.append(Moment(step, 1, 0.0, text))
    for marker in story.markers:
        if marker.kind == "resumed":
            found.append(Moment(marker.step, 4, marker.time, _("resumed"), "accent"))
        elif marker.kind == "control":
            request, _space, status = marker.text.partition(" ")
            why = f": {plain(marker.detail)}" if marker.detail else ""
            text = f"{request_word(request)}: {status_word(status)}{why}"
            found.append(Moment(marker.step, 3, marker.time, text))
        elif marker.kind == "changed":
            rate, _space, total = marker.text.partition(" ")
            text = _("learning rate {rate}, last step {steps}").format(rate=plain(rate), steps=plain(total))
            found.append(Moment(marker.step, 3, marker.time, text, "accent"))
    found += [Moment(step, 3, 0.0, _("measured every image")) for step in story.measured]
    for notice in story.warnings:
        words = plain(sentences(notice.message, notice.remedy))
        found.append(Moment(notice.step, 5, notice.time, f"! {words}", "warning"))
    if story.ending is not None:
        ending = story.ending
        tone = "error" if ending.reason in ("failed", "died") else ""
        text = plain(sentences(ending.message, ending.advice)) or _end_word(ending.reason)
        found.append(Moment(ending.step, 9, ending.time, text, tone, brief=plain(ending.message)))
    return found


def _saved(story: RunStory, item: Saved, words: str) -> Moment:
    try:
        name = str(item.path.relative_to(story.run.root))
    except ValueError:
        name = str(item.path)
    size = f" ({bytes_text(item.size)})" if item.size else ""
    return Moment(item.step, 2, 0.0, words.format(file=plain(name)) + size)
