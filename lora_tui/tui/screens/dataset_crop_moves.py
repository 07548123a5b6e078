"""What keys do with the part of an image that is chosen: move, resize, shape it, put it in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_tui.dataset import cropping
from lora_tui.dataset.cropping import RATIOS, Ratio
from lora_tui.dataset.prepare.subject import best_place
from lora_tui.text import _, count, ngettext
from lora_tui.tui.crop_text import STEPS, ratio_text, size_text
from lora_tui.tui.screens.dataset_crops import size_of
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import AskText, Choice, Choose, Confirm

if TYPE_CHECKING:
    from lora_tui.tui.screens.dataset_crop import CropScreen


class Moves:
    """The part of the screen that changes its box.

    Attributes:
        ratio: the shape that is kept, none for a free one; it stays from image to image.
    """

    def __init__(self, screen: CropScreen) -> None:
        self.screen = screen
        self.ratio: Ratio | None = None
        self._step = 2

    def _step_sizes(self) -> tuple[tuple[int, int], ...]:
        """Px to the side and down for each of the steps."""
        across, down = self.screen.view.pixels_a_cell()
        tenth = max(max(self.screen.image.width, self.screen.image.height) // 10, 1)
        return (1, 1), (8, 8), (across, down), (tenth, tenth)

    def step_words(self) -> str:
        return _(STEPS[self._step]).format(pixels=count(self._step_sizes()[self._step][0]))

    def _move(self, right: int, down: int) -> None:
        across, along = self._step_sizes()[self._step]
        moved = cropping.move(self.screen.box, self.screen.image, right * across, down * along)
        if moved == self.screen.box and self.screen.box.size == self.screen.image:
            self.screen.tell(_("This is the whole image: make the part smaller first."), "muted")
        self.screen.take(moved)

    def _stretch(self, wider: int, taller: int) -> None:
        across, along = self._step_sizes()[self._step]
        if not self._shaped():
            box, image = self.screen.box, self.screen.image
            self.screen.take(cropping.stretch(box, image, wider * across, taller * along, self.ratio))

    def _grow(self, sign: int) -> None:
        if not self._shaped():
            step = max(self._step_sizes()[self._step])
            self.screen.take(cropping.grow(self.screen.box, self.screen.image, sign * step, self.ratio))

    def _shaped(self) -> bool:
        """Bring the box into the shape that is kept, where it is in another one; whether that was so."""
        if self.ratio is None or cropping.ratio_of(self.screen.box.size) == self.ratio:
            return False
        shaped = cropping.shape(self.screen.box, self.screen.image, self.ratio)
        if shaped == self.screen.box:  # the image is too small for the shape
            return False
        self.screen.take(shaped)
        return True

    # -- actions: place and size

    def action_left(self) -> None:
        self._move(-1, 0)

    def action_right(self) -> None:
        self._move(1, 0)

    def action_up(self) -> None:
        self._move(0, -1)

    def action_down(self) -> None:
        self._move(0, 1)

    def action_narrower(self) -> None:
        self._stretch(-1, 0)

    def action_wider(self) -> None:
        self._stretch(1, 0)

    def action_lower(self) -> None:
        self._stretch(0, -1)

    def action_taller(self) -> None:
        self._stretch(0, 1)

    def action_larger(self) -> None:
        self._grow(1)

    def action_smaller(self) -> None:
        self._grow(-1)

    def action_finer(self) -> None:
        self._step = max(self._step - 1, 0)
        self.screen.say()

    def action_coarser(self) -> None:
        self._step = min(self._step + 1, len(STEPS) - 1)
        self.screen.say()

    def action_centre(self) -> None:
        self.screen.take(cropping.centre(self.screen.box, self.screen.image))

    def action_whole(self) -> None:
        self.screen.take(cropping.whole(self.screen.image))

    def action_zoom(self) -> None:
        view = self.screen.view
        view.zoom(near=not view.zoomed)
        self.screen.say()

    def action_snap(self) -> None:
        fit = self.screen.fit(self.screen.box.size)
        if fit is None:
            return
        found = cropping.times(self.screen.box, self.screen.image, fit.bucket)
        if found is None:
            size = size_text(fit.bucket)
            self.screen.tell(_("The image is smaller than its bucket, {size}.").format(size=size), "warning")
            return
        box, number = found
        self.ratio = cropping.ratio_of(fit.bucket)
        self.screen.take(box)
        self.screen.say()
        if number == 1:
            self.screen.tell(_("Trained px for px: neither scaled nor cut."), "success")
        else:
            self.screen.tell(_("{number} times the bucket: scaled, nothing cut.").format(number=number), "success")

    # -- actions: shape

    def _shape(self, ratio: Ratio | None) -> None:
        self.ratio = ratio
        if ratio is not None:
            self.screen.take(cropping.shape(self.screen.box, self.screen.image, ratio))
        self.screen.say()

    def action_free(self) -> None:
        self._shape(None)

    def action_square(self) -> None:
        self._shape((1, 1))

    def action_two_three(self) -> None:
        self._shape((2, 3))

    def action_three_two(self) -> None:
        self._shape((3, 2))

    def action_three_four(self) -> None:
        self._shape((3, 4))

    def action_four_three(self) -> None:
        self._shape((4, 3))

    def action_bucket(self) -> None:
        fit = self.screen.fit(self.screen.box.size)
        if fit is not None:
            self._shape(cropping.ratio_of(fit.bucket))

    def action_shape(self) -> None:
        choices = [Choice[Ratio]((0, 0), _("any"), _("width and height change one without the other"))]
        choices += [Choice(ratio, ratio_text(ratio)) for ratio in RATIOS]
        for bucket in self.screen.buckets:
            ratio = cropping.ratio_of(bucket)
            choices.append(Choice(ratio, str(bucket), _("bucket, {ratio}").format(ratio=ratio_text(ratio))))

        def chosen(ratio: Ratio | None) -> None:
            if ratio is not None:
                self._shape(ratio if ratio != (0, 0) else None)

        self.screen.app.push_screen(Choose(_("Shape"), choices, current=self.ratio or (0, 0)), chosen)

    def action_numbers(self) -> None:
        image = self.screen.image

        def wrong(text: str) -> str:
            box = cropping.parse(text)
            if box is None:
                return _("Write left and top corner, width and height: 10,20,512x512.")
            if cropping.lies_in(box, image):
                return ""
            words = _("The part does not lie in the image, which has {width} x {height} px.")
            return words.format(width=image.width, height=image.height)

        def typed(text: str | None) -> None:
            box = cropping.parse(text) if text is not None else None
            if box is not None:
                self.ratio = self.ratio if cropping.ratio_of(box.size) == self.ratio else None
                self.screen.take(box)
                self.screen.say()

        title = _("Left, top, width x height in px")
        self.screen.app.push_screen(AskText(title, cropping.written(self.screen.box), check=wrong), typed)

    # -- actions: the subject, the others

    def action_subject(self) -> None:
        start_job(self.screen, self._find_subject, "subject")

    async def _find_subject(self) -> None:
        """Put the box where most of the subject is; a whole image becomes its bucket's shape first."""
        row, picture, image = self.screen.row, self.screen.picture, self.screen.image
        box, fit = self.screen.box, self.screen.fit(self.screen.box.size)
        if isinstance(picture, str) or picture is None:
            self.screen.tell(_("The picture is still being read."), "muted")
            return
        if box.size == image and fit is not None:
            box = cropping.shape(box, image, self.ratio or cropping.ratio_of(fit.bucket))
        if box.size == image:
            self.screen.tell(_("This is the whole image: make the part smaller first."), "muted")
            return
        across, down = picture.width / image.width, picture.height / image.height
        left, top = await in_thread(best_place, picture, (box.width * across, box.height * down))
        if row is self.screen.row:
            moved = cropping.move(box, image, round(left / across) - box.left, round(top / down) - box.top)
            self.screen.take(moved)
            self.screen.tell(_("Put where the picture stands out most; arrows move it on."), "muted")

    def action_same(self) -> None:
        others = [row for row in self.screen.rows if row is not self.screen.row and size_of(row) == self.screen.image]
        if not others:
            self.screen.tell(_("No other image of the list has this size."), "muted")
            return
        box = self.screen.box
        number = len(others)
        question = ngettext("Use this part for {count} other image?", "Use this part for {count} other images?", number)
        detail = _("All of them have {size}. Parts that were chosen for them before are replaced.")

        def answered(yes: bool | None) -> None:
            if yes:
                for row in others:
                    self.screen.crops.choose(row, None if box == cropping.whole(self.screen.image) else box)
                self.screen.write_soon()
                self.screen.say()

        dialog = Confirm(
            question.format(count=count(number)), detail.format(size=size_text(self.screen.image)), yes=_("use it")
        )
        self.screen.app.push_screen(dialog, answered)
