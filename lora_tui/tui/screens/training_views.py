"""Views of the training screen beside its dashboard: all samples, the loss of each image, search in the log."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.containers import Horizontal
from textual.widget import Widget

from lora_tui.runs.facts import Sample
from lora_tui.runs.image_losses import ImageLoss, measured_steps, read_image_losses
from lora_tui.text import _, count, plain
from lora_tui.tui.cells import Cell, fit, wrap
from lora_tui.tui.run_text import Seen, epoch_text, level_words, value_text
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import AskText
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.log_view import LogView
from lora_tui.tui.widgets.sample_strip import StripItem
from lora_tui.tui.widgets.sample_wall import SampleWall, WallRow
from lora_tui.tui.widgets.virtual_list import Column, VirtualList

if TYPE_CHECKING:
    from lora_tui.tui.screens.training import TrainingScreen


class AllSamples:
    """The wall of samples: prompts below each other, steps side by side."""

    def __init__(self, screen: TrainingScreen) -> None:
        self._screen = screen

    async def make(self, place: Widget) -> None:
        """Have the widgets in ``place``."""
        if not place.children:
            await place.mount(Lines(id="wall-line"), SampleWall(id="wall-rows"))

    def draw(self, seen: Seen) -> None:
        """Show the prompts and the step that is looked at."""
        looking = self._screen.looking
        rows = [self._row(number, looking.samples_of(number)) for number in range(looking.prompts)]
        self._screen.query_one(SampleWall).show(rows, looking.prompt)
        at = _("step {step}").format(step=count(round(seen.step)))
        head = (Cell(_("SAMPLES  "), "muted"), Cell(at, "strong"))
        self._screen.query_one("#wall-line", Lines).show([head])

    def draw_large(self, seen: Seen) -> None:
        """Show the sample that is looked at as large as it fits."""
        screen, looking = self._screen, self._screen.looking
        samples = looking.samples
        image = screen.query_one("#full-image", ImageView)
        if not samples or looking.current < 0:
            image.show(None)
            screen.query_one("#full-line", Lines).show([(Cell(_("No sample of this prompt yet."), "muted"),)])
            screen.query_one("#full-text", Lines).show([])
            return
        sample = samples[looking.current]
        image.show(sample.path)
        where = _("step {step}  {epoch}  prompt {prompt} of {prompts}").format(
            step=f"{count(sample.step):>{len(count(max(seen.story.total_steps, sample.step)))}}",
            epoch=fit(epoch_text(sample), cell_len(_("epoch {n}").format(n=max(seen.epochs[1], sample.epoch)))),
            prompt=looking.prompt + 1,
            prompts=max(looking.prompts, 1),
        )
        number = f"{looking.current + 1}/{len(samples)}"
        screen.query_one("#full-line", Lines).show([(Cell(where, "strong"), Cell(f"  {number}", "muted"))])
        text = wrap(plain(sample.text), max(screen.size.width, 20), 3, ellipsis=seen.marks.ellipsis)
        screen.query_one("#full-text", Lines).show([(Cell(line, "muted"),) for line in text])

    def _row(self, number: int, samples: list[Sample]) -> WallRow:
        items = [StripItem(sample.path, count(sample.step), epoch_text(sample)) for sample in samples]
        text = plain(samples[-1].text) if samples else _("none drawn yet")
        current = self._screen.looking.current_of(samples)
        return WallRow(f"{number + 1}  {text}", items, current)

    def picked(self, row: int, place: int) -> None:
        """Go to a picture; to the one that is looked at already, large."""
        looking = self._screen.looking
        samples = looking.samples_of(row)
        same = row == looking.prompt and place == looking.current
        looking.chosen = row
        if same:
            looking.action_full()
        elif 0 <= place < len(samples):
            looking.look_at(float(samples[place].step))


class ImageLosses:
    """The loss of each image on fixed noise, the worst first."""

    def __init__(self, screen: TrainingScreen) -> None:
        self._screen = screen
        self.steps: list[int] = []
        self.step = -1
        self.images: list[ImageLoss] = []
        self._known: tuple[object, ...] = ()

    async def make(self, place: Widget) -> None:
        """Have the widgets in ``place``."""
        if place.children:
            return
        columns = [Column(7, align="right"), Column(8, align="right"), Column(12, share=1, cut="middle")]
        rows = VirtualList(columns, self.cells, id="images-list")
        beside = Horizontal(rows, ImageView(id="images-picture"))
        await place.mount(Lines(id="images-line"), beside, Lines(id="images-facts"))

    def forget(self) -> None:
        """Another run is shown."""
        self.steps, self.step, self.images, self._known = [], -1, [], ()

    def read(self, move: int = 0) -> None:
        """Read what was measured: the newest, or ``move`` measurements on from the one in view."""
        story = self._screen.story
        if story is None:
            return
        run = story.run

        async def reading() -> None:
            steps = await in_thread(measured_steps, run.root)
            at = steps.index(self.step) if self.step in steps else len(steps) - 1
            at = min(max(at + move, 0), len(steps) - 1) if move else len(steps) - 1
            step = steps[at] if steps else -1
            images = await in_thread(read_image_losses, run.root, step) if steps else []
            if self._screen.story is not None and self._screen.story.run == run:
                kept = self._screen.query_one("#images-list", VirtualList).cursor if move else 0
                self.steps, self.step, self.images = steps, step, images
                self._screen.query_one("#images-list", VirtualList).set_count(len(images), cursor=kept)
                self._screen.query_one("#images-list", VirtualList).reload()
                self._screen.draw()

        start_job(self._screen, reading, "image-losses")

    def _nothing(self) -> str:
        """Why there is no loss of images, and what would bring it."""
        seen, key = self._screen.seen, self._screen.shell.keymap.shown
        if seen is not None and seen.alive:
            words = _("Not measured yet. {key} asks the living run to measure each image on fixed noise.")
            return words.format(key=key("training.measure"))
        words = _("This run has not measured its images. validation.each_image, in {form}, has the next one do it.")
        return words.format(form=key("app.show-parameters"))

    def draw(self) -> None:
        """Show the head, and the picture of the image under the cursor; read again where more was measured."""
        self._screen.query_one("#images-list", VirtualList).set_empty(self._nothing())
        story = self._screen.story
        known = (story.run, len(story.measured)) if story is not None else ()
        if known != self._known:
            self._known = known
            self.read()
        head = [Cell(_("LOSS OF EACH IMAGE  "), "muted")]
        if self.images:
            mean = sum(image.loss for image in self.images) / len(self.images)
            told = _("@{step}  {number} of {total}  mean {mean}").format(
                step=count(self.step),
                number=self.steps.index(self.step) + 1,
                total=len(self.steps),
                mean=value_text(mean).strip(),
            )
            head.append(Cell(told, "strong"))
        self._screen.query_one("#images-line", Lines).show([tuple(head)])
        image = self.current
        self._screen.query_one("#images-picture", ImageView).show(image.path if image is not None else None)
        self._screen.query_one("#images-facts", Lines).show(self._facts(image))

    @property
    def current(self) -> ImageLoss | None:
        """The image under the cursor."""
        cursor = self._screen.query_one("#images-list", VirtualList).cursor
        return self.images[cursor] if 0 <= cursor < len(self.images) else None

    @staticmethod
    def _facts(image: ImageLoss | None) -> list[tuple[Cell, ...]]:
        if image is None:
            return []
        lines: list[tuple[Cell, ...]] = [(Cell(plain(image.path.name), "strong"),)]
        if len(image.levels) == 4:
            each = [f"{level_words(place)} {value_text(value).strip()}" for place, value in enumerate(image.levels)]
            lines.append((Cell(_("by noise") + "  " + "  ".join(each), "muted"),))
        return lines

    def cells(self, index: int) -> tuple[Cell, ...]:
        """A row of the list."""
        if not 0 <= index < len(self.images):
            return ()
        image = self.images[index]
        change = "" if image.change is None else f"{image.change:+.4f}"
        tone = "muted" if image.change is None or image.change <= 0 else "warning"
        return Cell(value_text(image.loss)), Cell(change, tone), Cell(plain(image.path.name))

    def open(self) -> None:
        """Go to the image in the tag editor."""
        image = self.current
        if image is not None:
            self._screen.shell.show_screen("tags", str(image.path))


class LogSearch:
    """Finds words in what happened and in what was printed."""

    def __init__(self, screen: TrainingScreen) -> None:
        self._screen = screen
        self.words = ""
        self._printed: list[int] = []
        self._moments: list[int] = []

    def forget(self) -> None:
        """Another run is shown."""
        self.words, self._printed, self._moments = "", [], []

    def ask(self) -> None:
        """Ask for the words."""

        def typed(words: str | None) -> None:
            if words is not None:
                self.words = words
                start_job(self._screen, self._find, "log-search")

        self._screen.app.push_screen(AskText(_("Find in the log:"), self.words, accept=_("find")), typed)

    async def _find(self) -> None:
        view, wanted = self._screen.query_one("#log-file", LogView), self.words.casefold()
        view.poll()
        self._printed = await in_thread(view.find, self.words) if wanted else []
        moments = self._screen.moments()
        self._moments = [n for n, moment in enumerate(moments) if wanted and wanted in moment.text.casefold()]
        if self._printed:
            view.cursor = self._printed[-1]
        if self._moments:
            self._screen.query_one("#log-moments", VirtualList).cursor = self._moments[-1]
        if self._printed and not self._moments:
            self._screen.set_focus(view)
        self._screen.draw()

    def step(self, by: int) -> None:
        """To the next place (``by`` 1) or the one before (-1), in the list that has the keys; around its ends."""
        view, moments = (
            self._screen.query_one("#log-file", LogView),
            self._screen.query_one("#log-moments", VirtualList),
        )
        rows, found = (view, self._printed) if view.has_focus else (moments, self._moments)
        if not found:
            return
        place = bisect_left(found, rows.cursor)
        here = place < len(found) and found[place] == rows.cursor
        place = place + by if here or by < 0 else place
        rows.cursor = found[place % len(found)]

    def said(self) -> tuple[Cell, ...]:
        """How much was found, for the line between the lists."""
        if not self.words:
            return ()
        told = _("{words}: {moments} above, {printed} below  ").format(
            words=fit(plain(self.words), min(len(plain(self.words)), 20)),
            moments=count(len(self._moments)),
            printed=count(len(self._printed)),
        )
        return (Cell(told, "accent" if self._moments or self._printed else "warning"),)
