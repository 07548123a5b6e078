"""What a person's wishes come to between two updates: prompts of their own, the loss of every image."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lora_tui.config.family import usual_sample
from lora_tui.config.prompt_lines import is_told, values_of
from lora_tui.config.schema import SamplePrompt
from lora_tui.dataset.batches import PlannedImage
from lora_tui.errors import UserError
from lora_tui.families import facts_for
from lora_tui.files import write_atomic
from lora_tui.jobs.control import Request
from lora_tui.runs.image_losses import FOLDER, VERSION
from lora_tui.text import _
from lora_tui.trainer.material import Material
from lora_tui.trainer.outputs import Samples
from lora_tui.trainer.session import Session
from lora_tui.trainer.trainee import Trainee
from lora_tui.trainer.validation import Validator


class OwnPrompts:
    """Sample prompts that were not in the configuration, with the numbers that they are known by.

    A prompt that is asked for again keeps its number, so that its images stand in one row.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._numbers: dict[str, int] = {}  # by what a prompt says

    def number(self, prompt: SamplePrompt) -> int:
        """The number of a prompt, from 0; those of the configuration come first."""
        configured = self._session.config.samples
        for number, known in enumerate(configured):
            if known == prompt:
                return number
        key = prompt.model_dump_json()
        if key not in self._numbers:
            places = [path.stem.partition("-")[2] for path in self._session.folder.samples_dir.glob("*-*.png")]
            used = [int(place) for place in places if place.isdecimal() and len(place) < 9]
            self._numbers[key] = max([len(configured) - 1, *used, *self._numbers.values()]) + 1
        return self._numbers[key]

    def read(self, fields: dict[str, Any]) -> SamplePrompt:
        """The prompt that a request describes: what it does not say is as in the sample ``like`` (from 0).

        Flags behind the text (``--n``, ``--s`` …) count as in the configuration.

        Raises:
            UserError: a value cannot be one.
        """
        config = self._session.config
        told = dict(fields)
        like = told.pop("like", 0)
        known = isinstance(like, int) and 0 <= like < len(config.samples)
        usual = config.samples[like].model_dump() if known else usual_sample(config)
        text = told.get("prompt")
        if isinstance(text, str):
            told.update(values_of(text, told=is_told(config)))
        try:
            found = SamplePrompt.model_validate({**usual, **told})
        except ValueError as error:
            raise UserError(_("the sample cannot be drawn so: {reason}").format(reason=_first(error))) from error
        multiple = facts_for(config.model.family).size_multiple
        if found.width % multiple or found.height % multiple:
            raise UserError(_("width and height are multiples of {step}").format(step=multiple))
        return found


@dataclass(frozen=True)
class Wishes:
    """Serves what was asked for, between two updates, and answers."""

    session: Session
    material: Material
    trainee: Trainee
    samples: Samples
    validator: Validator
    _own: OwnPrompts = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_own", OwnPrompts(self.session))

    def serve(self, wish: Request, step: int, epoch: int) -> None:
        """Do what the loop has not done already, and say what came of the wish; ``epoch`` from 1."""
        answer = self.session.controls.answer
        if wish.kind == "validate" and not self.validator.images:
            answer(wish.kind, "rejected", _("no image is held out for validation"))
        elif wish.kind == "sample" and not wish.fields and not self.session.config.samples:
            answer(wish.kind, "rejected", _("the configuration has no sample prompts"))
        else:
            try:
                self._do(wish, step, epoch)
            except (UserError, OSError) as error:
                answer(wish.kind, "rejected", str(error))
            else:
                answer(wish.kind, "done")

    def _do(self, wish: Request, step: int, epoch: int) -> None:
        work: Callable[[], None]
        if wish.kind == "sample" and wish.fields:
            prompt = self._own.read(wish.fields)
            self.session.ladder.attempt("texts", partial(self.material.encode_prompt, prompt), step=step)
            work = partial(self.samples.draw_prompts, step, epoch, [(self._own.number(prompt), prompt)])
        elif wish.kind == "measure":
            work = partial(self._measure, step)
        else:
            return
        with self.trainee.weights_in_use(average=self.session.config.learning.ema_in_use):
            work()

    def measure_unasked(self, step: int) -> None:
        """Measure every image at the beginning or the end; that it cannot be done is told, and ends nothing.

        Raises:
            StopRun: a stop was asked for.
        """
        try:
            with self.trainee.weights_in_use(average=self.session.config.learning.ema_in_use):
                self._measure(step)
        except (UserError, OSError) as error:
            self.session.warn("images.measure", _("the images were not measured: {reason}").format(reason=error))

    def _measure(self, step: int) -> None:
        progress = self.session.phase("measuring", "")
        work = partial(measure_images, self.session, self.material, self.validator, step, progress)
        self.session.ladder.attempt("validation", work, step=step)
        self.material.release_vae()


def _first(error: ValueError) -> str:
    """What the first mistake is, with its field."""
    mistakes = getattr(error, "errors", list)()
    if not mistakes:
        return str(error)
    return f"{'.'.join(map(str, mistakes[0].get('loc', ())))}: {mistakes[0].get('msg', '')}"


@torch.no_grad()
def measure_images(
    session: Session, material: Material, validator: Validator, step: int, progress: Callable[[int, int], None]
) -> int:
    """Measure each image that is trained on fixed noise and write what came out, which an event names; how many.

    Raises:
        StopRun: a stop was asked for; nothing is written.
        OSError: the disk is full.
    """
    pictures = material.data.plan.pictures
    material.encode_more(material.data.whole_caption(planned.image.uid) for planned in pictures)
    losses: list[tuple[PlannedImage, Tensor]] = []
    for done, planned in enumerate(pictures):
        progress(done, len(pictures))
        latent = material.latent(planned)
        if latent is not None:
            losses.append((planned, validator.levels_of(planned, latent)))
    progress(len(pictures), len(pictures))
    if not losses:
        return 0
    values = torch.stack([levels for _planned, levels in losses]).cpu().tolist()
    images = [
        {"path": str(planned.image.path), "uid": planned.image.uid, "levels": [round(value, 6) for value in row]}
        for (planned, _levels), row in zip(losses, values, strict=True)
    ]
    path = session.folder.root / FOLDER / f"{step:06d}.json"
    path.parent.mkdir(exist_ok=True)
    data = {"version": VERSION, "step": step, "images": images}
    write_atomic(path, json.dumps(data, ensure_ascii=True).encode() + b"\n", durable=False)
    mean = sum(sum(row) / len(row) for row in values) / len(values)
    relative = path.relative_to(session.folder.root).as_posix()
    session.events.emit("images", step=step, path=relative, images=len(images), loss=mean)
    return len(images)
