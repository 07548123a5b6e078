"""How a run is looked at: step, zoom, axis, smoothing, prompt, and which of the three views."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lora_tui.runs.facts import Sample
from lora_tui.text import N_, _
from lora_tui.tui.curves import SMOOTHING, ZOOMS, Look
from lora_tui.tui.widgets.chart import LineChart
from lora_tui.tui.widgets.footer import KeyHint
from lora_tui.tui.widgets.log_view import LogView

if TYPE_CHECKING:
    from lora_tui.tui.screens.training import TrainingScreen

VIEWS = ("dash", "full", "logs", "wall", "images")
"""The dashboard, one sample as large as it fits, the log, all samples, the loss of each image: ids of containers, one
of which is shown."""

VIEW_KEYS: dict[str, tuple[tuple[str, str], ...]] = {
    "full": (
        ("training.earlier", N_("steps")),
        ("training.next-prompt", N_("next prompt")),
        ("training.full", N_("back")),
    ),
    "logs": (
        ("training.search", N_("find")),
        ("training.next-prompt", N_("next found")),
        ("training.logs", N_("back")),
    ),
    "wall": (
        ("training.full", N_("large")),
        ("training.earlier", N_("steps")),
        ("training.next-prompt", N_("next prompt")),
        ("training.all-samples", N_("back")),
    ),
    "images": (
        ("training.full", N_("its tags")),
        ("training.earlier", N_("other steps")),
        ("training.measure", N_("measure images")),
        ("training.images", N_("back")),
    ),
}
"""What the keys do in each view beside the dashboard, in the order of use: actions, and what they are called there."""

BOTH_WAYS = {"training.earlier": "training.later"}
"""Actions whose hint names the key of another one, too."""


class Looking:
    """The part of the training screen that changes what of the run is seen.

    Attributes:
        look: how the curves are looked at.
        chosen: number of the sample prompt to look at; none until one was chosen.
    """

    def __init__(self, screen: TrainingScreen) -> None:
        self._screen = screen
        self.look = Look()
        self.chosen: int | None = None
        self._from_wall = False  # the large sample was opened there

    def begin(self) -> None:
        """Another run is shown: from its newest step and first prompt; axis and smoothing stay."""
        self.look, self.chosen = Look(log=self.look.log, smoothing=self.look.smoothing), None

    @property
    def prompt(self) -> int:
        """The prompt in view: the chosen one, else the first of those drawn last, such as one drawn by request."""
        if self.chosen is not None:
            return self.chosen
        story = self._screen.story
        drawn = story.samples if story is not None else ()
        newest = max((sample.step for sample in drawn), default=0)
        return min((sample.prompt for sample in drawn if sample.step == newest), default=0)

    @property
    def samples(self) -> list[Sample]:
        """The samples of the prompt in view, see :meth:`samples_of`."""
        return self.samples_of(self.prompt)

    def samples_of(self, prompt: int) -> list[Sample]:
        """The samples of a prompt, one a step: the newest where a step was drawn twice."""
        story = self._screen.story
        drawn = story.samples if story is not None else ()
        by_step = {sample.step: sample for sample in drawn if sample.prompt == prompt}
        return [by_step[step] for step in sorted(by_step)]

    @property
    def current(self) -> int:
        """The number of the sample at the step that is looked at; -1 when there is none."""
        return self.current_of(self.samples)

    def current_of(self, samples: list[Sample]) -> int:
        """The same among samples of another prompt."""
        if self.look.at is None:
            return len(samples) - 1
        return sum(sample.step <= self.look.at for sample in samples) - 1

    @property
    def prompts(self) -> int:
        """How many sample prompts the run has."""
        story = self._screen.story
        if story is None:
            return 0
        drawn = max((sample.prompt for sample in story.samples), default=-1) + 1
        return max(drawn, story.info.prompts if story.info else 0)

    # -- looking

    def in_view(self, name: str) -> bool:
        """Whether a view is shown."""
        return bool(self._screen.query_one(f"#{name}").display)

    def key_hints(self, hints: list[KeyHint]) -> list[KeyHint]:
        """The keys of the view that is shown, out of those of the whole screen, with what they do there."""
        screen = self._screen
        own = next((VIEW_KEYS[name] for name in VIEWS[1:] if self.in_view(name)), ())
        if not own:
            return hints
        shown, ascii_only = screen.shell.keymap.shown, screen.shell.ascii_only
        found = []
        for action, title in own:
            keys = [shown(one, ascii_only=ascii_only) for one in (action, BOTH_WAYS.get(action, "")) if one]
            found.append(KeyHint(action, " ".join(keys), _(title), not screen.refusal(action)))
        return [*found, *(hint for hint in hints if not hint.action.startswith("training."))]

    def show_view(self, name: str) -> None:
        """Show the dashboard, the full view or the log. Not by a class: that would style every widget anew."""
        for other in VIEWS:
            self._screen.query_one(f"#{other}").display = other == name
        # The widgets have their sizes only after the layout that the first refresh makes.
        self._screen.call_after_refresh(self._screen.call_after_refresh, self._screen.draw)
        self._screen.dirty = True
        self._screen.refresh_keys()

    def _set(self, look: Look) -> None:
        self.look = look
        self._screen.draw()

    def go_back(self) -> bool:
        """Leave an inner view, then a step that is looked at; false when there is neither."""
        if self.in_view("full") and self._from_wall:
            self._from_wall = False
            self.show_view("wall")
            return True
        if not self.in_view("dash"):
            self._screen.set_focus(None)
            self.show_view("dash")
            return True
        if self.look.at is not None or self.look.pan is not None:
            self._set(replace(self.look, at=None, pan=None))
            return True
        return False

    def action_full(self) -> None:
        if self.in_view("images"):
            self._screen.image_losses.open()
        elif self.in_view("full"):
            self.go_back()
        else:
            self._from_wall = self.in_view("wall")
            self.show_view("full")

    async def action_all_samples(self) -> None:
        if self.in_view("wall"):
            self.go_back()
            return
        await self._screen.all_samples.make(self._screen.query_one("#wall"))
        self.show_view("wall")

    async def action_images(self) -> None:
        if self.in_view("images"):
            self.go_back()
            return
        await self._screen.image_losses.make(self._screen.query_one("#images"))
        self._screen.image_losses.read()
        self.show_view("images")
        self._screen.call_after_refresh(self._screen.query_one("#images-list").focus)

    def action_search(self) -> None:
        if not self.in_view("logs"):
            self.action_logs()
        self._screen.log_search.ask()

    def action_logs(self) -> None:
        if self.in_view("logs"):
            self.go_back()
            return
        self._screen.query_one("#log-file", LogView).poll()
        self.show_view("logs")
        self._screen.call_after_refresh(self._screen.query_one("#log-moments").focus)

    def action_earlier(self) -> None:
        self._scrub(-1)

    def action_later(self) -> None:
        self._scrub(1)

    def _scrub(self, by: int) -> None:
        """To the next sample; without samples, a little along the curves. Among losses of images, to other steps."""
        if self.in_view("images"):
            self._screen.image_losses.read(by)
            return
        steps = [sample.step for sample in self.samples]
        if not steps:
            self._move_cursor(by)
            return
        place = self.current + by
        if by > 0 and place >= len(steps):
            self.look_at(None)
        else:
            self.look_at(float(steps[max(place, 0)]))

    def action_cursor_back(self) -> None:
        self._move_cursor(-1)

    def action_cursor_on(self) -> None:
        self._move_cursor(1)

    def _move_cursor(self, by: int) -> None:
        if self._screen.story is None:
            return
        chart = self._screen.query_one("#chart", LineChart)
        picture, newest = chart.picture, float(self._screen.story.step)
        stride = max((picture.last - picture.first) / max(chart.size.width - 8, 1), 1.0)
        at = (self.look.at if self.look.at is not None else newest) + by * stride
        self.look_at(None if at >= newest else max(float(round(at)), 0.0))

    def look_at(self, step: float | None) -> None:
        """Look at a step, or follow the newest; a view that was moved comes back where the step is not in it."""
        look = replace(self.look, at=step)
        curves = self._screen.curves
        if look.pan is not None and curves is not None:
            left, right = curves.view(look)
            if step is None or not left <= step <= right:
                look = replace(look, pan=None)
        self._set(look)

    def point(self, step: float) -> None:
        """Look at a step that was clicked."""
        self.look_at(float(round(step)))

    def action_pan_back(self) -> None:
        self._pan(-1)

    def action_pan_on(self) -> None:
        self._pan(1)

    def _pan(self, by: int) -> None:
        """Move the view by half its width; beyond the newest step it follows again."""
        curves = self._screen.curves
        if curves is None or not self.look.zoom:
            return
        (left, right), (first, last) = curves.view(self.look), curves.range()
        begin = max(left + by * (right - left) / 2, first)
        follows = by > 0 and begin + (right - left) >= last and self.look.at is None
        self._set(replace(self.look, pan=None if follows else begin))

    def pick(self, place: int) -> None:
        """Look at the sample that was clicked; the one that is looked at already, large."""
        if place == self.current:
            self.action_full()
        else:
            self.look_at(float(self.samples[place].step))

    def action_follow(self) -> None:
        self._set(replace(self.look, at=None, pan=None))

    def action_next_prompt(self) -> None:
        self._turn_prompt(1)

    def action_previous_prompt(self) -> None:
        self._turn_prompt(-1)

    def _turn_prompt(self, by: int) -> None:
        if self.in_view("logs"):
            self._screen.log_search.step(by)
            return
        self.chosen = (self.prompt + by) % max(self.prompts, 1)
        self._screen.draw()

    def action_zoom_in(self) -> None:
        self._zoom(min(self.look.zoom + 1, ZOOMS - 1))

    def action_zoom_out(self) -> None:
        self._zoom(max(self.look.zoom - 1, 0))

    def _zoom(self, level: int) -> None:
        """Another level; the middle of a view that was moved stays where it is."""
        curves, look = self._screen.curves, replace(self.look, zoom=level)
        if look.pan is not None and curves is not None:
            left, right = curves.view(self.look)
            begin, end = curves.view(look)
            look = replace(look, pan=(left + right) / 2 - (end - begin) / 2 if level else None)
        self._set(look)

    def action_log_axis(self) -> None:
        self._set(replace(self.look, log=not self.look.log))

    def action_smoothing(self) -> None:
        self._set(replace(self.look, smoothing=(self.look.smoothing + 1) % len(SMOOTHING)))

    def action_curve(self) -> None:
        self._turn_curve(1)

    def action_curve_back(self) -> None:
        self._turn_curve(-1)

    def _turn_curve(self, by: int) -> None:
        """To the next curve that this run has values of, or the one before; around the ends."""
        curves = self._screen.curves
        known = curves.metrics() if curves is not None else [0]
        at = known.index(self.look.metric) if self.look.metric in known else 0
        self._set(replace(self.look, metric=known[(at + by) % len(known)]))
