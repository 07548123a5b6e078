"""What is asked of a living run with words: a prompt of one's own, another rate or end, the loss of every image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_tui.config.prompt_lines import values_of
from lora_tui.errors import UserError
from lora_tui.runs.changes import in_force, main_rate_of, read_changes, read_rate, read_total
from lora_tui.runs.record import read_record
from lora_tui.text import _, count, duration, ngettext, plain, rate_text, setting_number
from lora_tui.toml_files import TomlError, read_toml
from lora_tui.tui.run_text import Seen
from lora_tui.tui.screens.training_requests import Requests
from lora_tui.tui.widgets.dialog import AskText, Choice, Choose, Confirm
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.training import TrainingScreen

LEVELS = 4
"""Noise levels that each image is measured at."""

LEAST_PRICE = 0.005
"""What costs less is not worth a word."""

FORWARD = 1 / 3
"""About the share of a step's time that a prediction alone takes."""


class Wishes:
    """The part of the training screen that asks for words first."""

    def __init__(self, screen: TrainingScreen, requests: Requests) -> None:
        self._screen = screen
        self._requests = requests

    # -- a prompt of one's own

    def action_sample_prompt(self) -> None:
        looking = self._screen.looking
        shown = looking.samples
        text = shown[-1].text if shown else ""
        detail = _(
            "Drawn once, in the size and with the seed of prompt {number}; flags change that: --n negative, --d seed, "
            "--s steps, --l or --g guidance, --w and --h size. The training waits meanwhile."
        ).format(number=looking.prompt + 1)
        dialog = AskText(_("Draw now:"), text, detail=detail, check=_prompt_complaint, accept=_("draw"))
        like = looking.prompt if looking.prompt < self._configured_prompts() else 0

        def typed(prompt: str | None) -> None:
            if prompt:
                self._requests.ask("sample", prompt=prompt, like=like)

        self._screen.app.push_screen(dialog, typed)

    def _configured_prompts(self) -> int:
        story = self._screen.story
        return story.info.prompts if story is not None and story.info is not None else 0

    # -- rate and end

    def action_change(self) -> None:
        seen = self._screen.seen
        if seen is None:
            return
        rate, total = self._rate(seen), seen.total
        told, now = _rate(rate), seen.curves.value_at("lr.unet", float(seen.story.step))
        if now is not None:
            told = _("{rate}, now {now} by its schedule").format(rate=told, now=rate_text(now))
        choices = [
            Choice("rate", _("learning rate"), told),
            Choice("end", _("last step"), count(total)),
        ]

        def chosen(what: str | None) -> None:
            if what == "rate":
                self._ask_rate(seen, rate)
            elif what == "end":
                self._ask_end(seen)

        self._screen.app.push_screen(Choose(_("Change of the living run:"), choices), chosen)

    @staticmethod
    def _rate(seen: Seen) -> float | None:
        """The learning rate before its schedule, as it was last changed or configured."""
        run = seen.story.run
        rate, _total = in_force(read_changes(read_record(run)), seen.newest)
        try:
            return rate or main_rate_of(read_toml(run.config_path).get("learning"))
        except (OSError, UnicodeDecodeError, TomlError):
            return rate

    def _ask_rate(self, seen: Seen, rate: float | None) -> None:
        detail = _("Before its schedule; the other rates keep their proportion to it.")

        def wrong(text: str) -> str:
            return "" if _as_rate(text) is not None else _("A number above 0, such as 5e-5.")

        def typed(text: str | None) -> None:
            wanted = _as_rate(text or "")
            if wanted is None:
                return
            now = seen.curves.value_at("lr.unet", float(seen.story.step))
            told = _("It stands in the record, and a resumed run does it again at the same step.")
            if now is not None and rate:
                after = _("From the next step on {before} is {after}.")
                told = after.format(before=rate_text(now), after=rate_text(now * wanted / rate)) + " " + told
            question = _("Learn at {rate} instead of {before}?").format(rate=_rate(wanted), before=_rate(rate))
            self._confirm(question, told, learning_rate=wanted)

        value = _rate(rate) if rate else ""
        self._screen.app.push_screen(AskText(_("Learning rate:"), value, detail=detail, check=wrong), typed)

    def _ask_end(self, seen: Seen) -> None:
        least, total = seen.newest + 1, seen.total

        def wrong(text: str) -> str:
            steps = _as_steps(text)
            if steps is None:
                return _("A whole number of steps.")
            return (
                "" if steps > seen.newest else _("The run is at step {step} already.").format(step=count(seen.newest))
            )

        def typed(text: str | None) -> None:
            steps = _as_steps(text or "")
            if steps is None:
                return
            question = _("End at step {steps} instead of {total}?").format(steps=count(steps), total=count(total))
            self._confirm(question, self._price_of(seen, steps - total), total_steps=steps)

        detail = _("From {least} on. The schedule of the learning rate runs to the new end.").format(least=count(least))
        self._screen.app.push_screen(AskText(_("Last step:"), str(total), detail=detail, check=wrong), typed)

    @staticmethod
    def _price_of(seen: Seen, more: int) -> str:
        """What so many steps more or fewer take and cost."""
        text = ngettext("{count} step more", "{count} steps more", more) if more >= 0 else ""
        text = text or ngettext("{count} step fewer", "{count} steps fewer", -more)
        told = text.format(count=count(abs(more)))
        each = seen.story.step_seconds
        if each is not None:
            told += ", " + _("about {time}").format(time=duration(abs(more) * each))
            price = abs(more) * each / 3600 * seen.price
            if price >= LEAST_PRICE:
                told += ", " + _("cost {cost}").format(cost=f"{price:.2f} {plain(seen.currency, limit=8)}".strip())
        return told + ". " + _("The learning rate changes with the schedule, from the next step on.")

    def _confirm(self, question: str, detail: str, **fields: float) -> None:
        def sure(yes: bool | None) -> None:
            if yes:
                self._requests.ask("set", **fields)

        self._screen.app.push_screen(Confirm(question, detail, yes=_("change")), sure)

    # -- every image

    def action_measure(self) -> None:
        seen = self._screen.seen
        if seen is None:
            return
        info, each = seen.story.info, seen.story.step_seconds
        images = info.images if info is not None else 0
        question = ngettext(
            "Measure the loss of {count} image now?", "Measure the loss of {count} images now?", images
        ).format(count=count(images))
        if not images:
            question = _("Measure the loss of every image now?")
        told = _("On fixed noise, so that it can be compared between steps. The training waits meanwhile.")
        if each is not None and images:
            batch = max(seen.curves.images_per_step(), 1)
            seconds = images * LEVELS * each * FORWARD / batch
            told = _("About {time}.").format(time=duration(max(seconds, 1.0))) + " " + told

        def sure(yes: bool | None) -> None:
            if yes:
                self._requests.ask("measure")

        self._screen.app.push_screen(Confirm(question, told, yes=_("measure")), sure)


def _prompt_complaint(text: str) -> str:
    """What is wrong with a prompt and its flags; empty when nothing is."""
    if not text.strip():
        return _("Type what is to be drawn.")
    for told in (False, True):  # which guidance the family takes is for the run to say
        try:
            values_of(text, told=told)
        except UserError as error:
            problem = error_words(error)
        else:
            return ""
    return problem


def _as_rate(text: str) -> float | None:
    try:
        return read_rate(float(text))
    except ValueError:
        return None


def _as_steps(text: str) -> int | None:
    digits = text.strip().replace(",", "").replace(" ", "")
    return read_total(int(digits)) if digits.isascii() and digits.isdigit() and len(digits) < 12 else None


def _rate(rate: float | None) -> str:
    return "-" if rate is None else setting_number(rate)
