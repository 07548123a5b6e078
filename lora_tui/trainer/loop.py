"""The training loop: updates in the plan's order, and what is due after each of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from lora_tui import __version__
from lora_tui.config.cadence import CHECKPOINT, SAMPLE, STATE, VALIDATION
from lora_tui.dataset.batches import DataPlan
from lora_tui.errors import UserError
from lora_tui.jobs.control import Request
from lora_tui.keyed import keyed_seed
from lora_tui.sampling.renderer import Renderer
from lora_tui.text import _, ngettext, plain
from lora_tui.trainer.adapters.start import start_from
from lora_tui.trainer.best import Best
from lora_tui.trainer.concert import Concert
from lora_tui.trainer.control import StopRun
from lora_tui.trainer.course import Course
from lora_tui.trainer.data.prepared import Prepared
from lora_tui.trainer.graphs import play_graphs
from lora_tui.trainer.journey import Journey
from lora_tui.trainer.lost_updates import LostUpdates
from lora_tui.trainer.material import Material
from lora_tui.trainer.measures import Measures, measures_images
from lora_tui.trainer.memory.passes import parts_of
from lora_tui.trainer.memory.undo import Undo
from lora_tui.trainer.metadata import Ingredients, RunMetadata
from lora_tui.trainer.metrics import Drain, StepNumbers
from lora_tui.trainer.objectives.tables import schedule_for
from lora_tui.trainer.objectives.told import noise_metadata
from lora_tui.trainer.optim.optimizers import recipe
from lora_tui.trainer.optim.shared import add_up_gradients
from lora_tui.trainer.optim.stepper import Update
from lora_tui.trainer.origin import origin_of
from lora_tui.trainer.outputs import Checkpoints, Samples
from lora_tui.trainer.record import record_beginning, record_totals
from lora_tui.trainer.requests import Wishes
from lora_tui.trainer.resume import take_up
from lora_tui.trainer.saving import Saving
from lora_tui.trainer.session import Session
from lora_tui.trainer.state import Position, Snapshot
from lora_tui.trainer.trainee import Trainee
from lora_tui.trainer.validation import Validator

WISHED = {"save": (CHECKPOINT, STATE), "sample": (SAMPLE,), "validate": (VALIDATION,)}


@dataclass(frozen=True)
class Outcome:
    """How a run ended: ``completed``, ``stopped`` or ``stopped_now``, where, and its newest LoRA file."""

    reason: str
    step: int
    path: Path | None
    detail: str = ""


class Loop:
    """One life of the loop; :meth:`run` is its whole story."""

    def __init__(self, session: Session, material: Material, trainee: Trainee) -> None:
        self.session = session
        self.material = material
        self.trainee = trainee
        self.course = Course(session, material.data.plan.total_steps)
        self.journey = Journey(session.config, material.data.plan, self.course)
        self.concert = Concert(session, trainee, self.course)
        session.ladder.scene = replace(session.ladder.scene, batch=max(self.plan.batch_sizes))
        self.loader = material.loader()
        self.owed: set[str] = set()  # what the plan wants at this step and a stop may keep from being done
        self.best = Best()
        self.drain = Drain(session.device, self._deliver)
        self.measures = Measures(trainee.stepper.optimizer.param_groups, session.events.emit)
        self.lost = LostUpdates(session, expected=trainee.stepper.scaler is not None)
        metadata = RunMetadata(self._ingredients(), session.identity, session.started)
        self.saving = Saving(session, trainee, Checkpoints(session, trainee.adapter, metadata))
        renderer = Renderer(
            material.model, schedule_for(material.model, session.config.noise), lambda: session.ladder.policy.apart
        )
        self.samples = Samples(session, renderer, trainee.adapter, material.prompt, material.release_vae)
        self.validator = Validator(
            self.plan.validation, material.step, material.latent, material.conditioning, material.mask,
            lambda: session.ladder.policy.apart,
        )  # fmt: skip
        self.wishes = Wishes(session, material, trainee, self.samples, self.validator)
        self.origin = origin_of(session, material.data, material.model)

    def _ingredients(self) -> Ingredients:
        config, data, model = self.session.config, self.material.data, self.material.model
        return Ingredients(
            config, self.plan, model.facts, model.prediction, self.material.base, self.trainee.adapter.metadata(),
            str(recipe(config.optimizer)), noise_metadata(model, config.noise), data.captions,
            self.course.now.share,
        )  # fmt: skip

    @property
    def plan(self) -> DataPlan:
        """The batches, with the end that the run has now."""
        return self.journey.plan

    @property
    def position(self) -> Position:
        """Where the next update begins."""
        return self.journey.position

    # -- the story -----------------------------------------------------------------------------------------------

    def run(self, *, resume: bool) -> Outcome:
        """Take up the newest state, train to the end or to a stop, save.

        Raises:
            UserError: nothing but NaN was learned.
            OSError, RuntimeError: the machine failed.
        """
        self._announce()
        with contextlib.closing(self.saving.writer):
            try:
                self._begin(resume)
                moved = False
                for _update in self.updates():
                    self._after_update()
                    moved = True
                self.concert.end()
                outcome = self._finish(moved=moved)
            except StopRun as stop:
                self.concert.end()
                outcome = self._stop(stop)
            self.saving.writer.settle()
        return outcome

    def follow(self) -> None:
        """What a process that is not the first does: share every update from where the first one begins.

        Raises:
            UserError: what it holds is not what the first one holds.
        """
        self.concert.begin(-1, self._take_up_as_told, self._place)
        for _update in self.updates():
            pass

    def _begin(self, resume: bool) -> None:
        """Put the newest state back, or draw the first samples of a run that begins."""
        if resume:
            self._restore()
            self.session.events.emit("resumed", step=self.position.step, epoch=self.journey.epoch())
            if self.course.now.total != self.plan.total_steps or self.course.now.share != 1.0:
                self._tell_course()
        self._start_from_file()
        self.concert.begin(self.saving.state, self._take_up_as_told, self._place)
        step = self.position.step
        self.owed |= self.journey.due(0) if step == 0 else set()
        missing = self.samples.missing(step)
        if SAMPLE in (self.owed | self.journey.due(step)) and missing:
            self._sample(missing)
        if VALIDATION in self.owed and self.plan.validation:
            self._validate()
        if step == 0 and self._measures_images:
            self.wishes.measure_unasked(step)
        self.owed.clear()

    @property
    def _measures_images(self) -> bool:
        return measures_images(self.session.config.validation.each_image, self.plan)

    def _take_up_as_told(self, state: int) -> None:
        """Take up what the first process did: its newest state, or what a run begins with (-1)."""
        if state >= 0:
            self._restore()
        self._start_from_file()

    def _place(self) -> list[int]:
        return [self.position.step, self.position.epoch, self.position.batch]

    def updates(self) -> Iterator[None]:
        """Take the remaining updates of the run, one for each value asked for."""
        if self.session.config.memory.compile and not self.journey.at_end and not self._no_better():
            from lora_tui.trainer.compiled import compile_blocks  # a second of imports

            compile_blocks(self.session, self.material, self.trainee, self.loader)
        if self.session.config.memory.cuda_graphs:
            play_graphs(self.session, self.material, self.trainee)
        self.session.phase("training", "")
        self.drain.lap()
        with contextlib.closing(self.loader.batches(self.position.epoch, self.position.batch)) as batches:
            while not self.journey.at_end and not self._no_better():
                self._update(batches)
                yield

    def _update(self, batches: Iterator[Prepared]) -> None:
        """One update, taken again from its beginning where memory runs out in it."""
        session, ladder = self.session, self.session.ladder
        count = self.journey.batches
        self.saving.writer.check()
        self.concert.meet()
        now = self.course.now
        rates = self.trainee.set_rates(session.config.learning, self.position.step, now.total, now.share)
        undo = Undo(self.trainee, session.device, risky=ladder.risky, held=ladder.held())
        taken: list[Prepared] = []
        take = partial(self._take, batches, taken, count, undo)
        try:
            step = self.position.step + 1
            images, loss, update = ladder.attempt(
                "training", take, step=step, drop=undo.drop, again=undo.back, ranks=session.ranks
            )
        except BaseException:
            self.trainee.stepper.discard()
            raise
        ladder.risky = False
        epoch = self.journey.epoch()
        self.journey.advance(count)
        if not session.ranks.is_first or update is None:
            return
        fields = {
            "step": self.position.step,
            "epoch": epoch,
            "lr": rates,
            "step_seconds": None,  # known when the numbers have arrived
            "data_wait": round(self.loader.take_waited(), 5),
            "images_per_second": None,
            **session.memory(),
            "images": images,
        }
        if update.own_rate is not None:
            fields["d"] = None  # known when it has arrived
        self.lost.expect(self.position.step, [name for batch in taken for name in batch.names])
        more, fields["measures"] = self.measures.take(self.position.step)
        self.drain.push(loss, update.norm, update.skipped, fields, update.own_rate, more)

    def _take(
        self, batches: Iterator[Prepared], taken: list[Prepared], count: int, undo: Undo
    ) -> tuple[int, Tensor, Update | None]:
        """The mean over all images of the next ``count`` batches, whatever their number and whoever has which.

        ``taken``: batches of this process that an earlier try took. Returns images, mean loss and update.
        """
        full, stepper = count * self.plan.batch_size, self.trainee.stepper
        find = partial(self._gradients, batches, taken, count, full)
        images, loss = add_up_gradients(self.session.ranks, stepper.parameters, find)
        if not images:
            return 0, loss, None
        undo.begin()
        update = stepper.update(factor=full / images)
        self.trainee.settle(self.position.step + 1)
        return images, loss * (full / images), update

    def _gradients(
        self, batches: Iterator[Prepared], taken: list[Prepared], count: int, full: int
    ) -> tuple[int, Tensor]:
        """Gradients of this process's batches as parts of ``full`` images; how many these have, and their losses."""
        session, ranks = self.session, self.session.ranks
        images, losses = 0, []
        self.measures.begin()
        for place, number in enumerate(range(ranks.number, count, ranks.count)):
            if ranks.count == 1:  # several processes stop and wait where they meet
                session.controls.safe_point()
            if place == len(taken):
                taken.append(next(batches))
            for part, share in parts_of(taken[place], session.ladder.policy.images):
                with self.trainee.adapter.learning(self._dropout_seed(number), share):
                    losses.append(self._learn_from(part, full))
            images += taken[place].images
        return images, torch.stack(losses).sum() if losses else torch.zeros((), device=session.device)

    def _learn_from(self, part: Prepared, full: int) -> Tensor:
        """Add gradients of ``part`` of ``full`` images to those that wait; its loss, of whose graph nothing stays."""
        errors = self.material.step.losses(part)
        error = errors.sum() / full
        self.trainee.stepper.backward(error)
        self.measures.note(errors, part.inputs["timesteps"])
        return error.detach()

    def _dropout_seed(self, batch: int) -> int:
        return keyed_seed(self.plan.seed, "dropout", self.position.step, batch)

    def _after_update(self) -> None:
        """Whatever the plan or a person wants after this update."""
        asked = self._steer(self.session.controls.take_wishes())
        due = set(self.journey.due(self.position.step))
        wished = {kind for wish in asked if not wish.fields for kind in WISHED.get(wish.kind, ())}
        due |= wished
        if not due and not asked:
            return
        self.drain.collect(wait=True)
        final = self.journey.at_end
        self.owed = due & {VALIDATION, SAMPLE}  # a stop from here on leaves these to the resumed run
        if VALIDATION in due and self.plan.validation:
            self._validate(counts=VALIDATION not in wished or VALIDATION in self.journey.due(self.position.step))
        self.owed.discard(VALIDATION)
        if CHECKPOINT in due:
            self._save(final=final)
        if STATE in due:
            self._write_state()
        if SAMPLE in due and self.session.config.samples:
            self._sample()
        self.owed.clear()
        if any(wish.kind == "save" for wish in asked):
            self.saving.writer.settle()
        for wish in asked:
            self.wishes.serve(wish, self.position.step, self.journey.epoch(done=True))
        self.session.phase("training", "")
        self.drain.lap()

    def _steer(self, wishes: list[Request]) -> list[Request]:
        """Change rate and end as it was asked for, or was before at this step; the other wishes."""
        step, controls = self.position.step, self.session.controls
        for wish in wishes:
            if wish.kind == "set":
                try:
                    self.course.ask(wish, step)
                    controls.answer("set", "done")
                except (UserError, OSError) as error:
                    controls.answer("set", "rejected", str(error))
        if self.course.reach(step):
            self._tell_course(asked=True)
        return [wish for wish in wishes if wish.kind != "set"]

    def _tell_course(self, *, asked: bool = False) -> None:
        """Say, and write into record and files, at what rate the run learns now and where it ends."""
        session, total = self.session, self.course.now.total
        self.journey.plan = replace(self.plan, max_steps=total)
        self.saving.checkpoints.metadata = RunMetadata(self._ingredients(), session.identity, session.started)
        record_totals(session, total_steps=total, epochs=self.plan.total_epochs)
        session.events.emit(
            "changed", step=self.position.step, learning_rate=self.course.rate, total_steps=total,
            epochs=self.plan.total_epochs, asked=asked,
        )  # fmt: skip

    def _no_better(self) -> bool:
        """Whether the validation has not become better for as long as the settings allow."""
        patience = self.session.config.validation.patience
        return 0 < patience <= self.best.worse

    def _finish(self, *, moved: bool = True) -> Outcome:
        """Save what is not saved; ``moved``: this life has learned, and nobody waits for its end."""
        self.drain.collect(wait=True)
        if self._no_better() and not self.journey.at_end:
            text = _("the validation has not become better since step {best}: the run ends at step {step}.")
            self.session.warn("stopped_early", text.format(best=self.best.step, step=self.position.step))
        if not self.saving.complete:
            self._save(final=True)
        if self.saving.state != self.position.step:
            self._write_state()
        if moved and self._measures_images:
            self.wishes.measure_unasked(self.position.step)
        return Outcome("completed", self.position.step, self.saving.newest)

    def _stop(self, stop: StopRun) -> Outcome:
        """Save what was learned, unless ``now`` gives it up; a stop after the last update changes nothing."""
        self.drain.collect(wait=True)
        step = self.position.step
        if self.journey.at_end:
            self.session.controls.settle()
            return self._finish(moved=False)
        if not self.session.folder.root.is_dir():  # one that was deleted is not made again
            self.saving.writer.close()
            return self._give_up()
        if stop.now:
            return self._give_up()
        try:
            if step > 0:
                self.save_now()
        except StopRun:  # overruled by one that does not wait for that
            return self._give_up()
        return Outcome("stopped", step, self.saving.newest)

    def _give_up(self) -> Outcome:
        """End with what was saved before."""
        self.saving.writer.settle()
        return Outcome("stopped_now", self.position.step, self.saving.newest, self.saving.given_up(self.position.step))

    # -- what is due ---------------------------------------------------------------------------------------------

    def _validate(self, *, counts: bool = True) -> None:
        """Measure; what was only asked for does not count towards the best and the end."""
        learning, section = self.session.config.learning, self.session.config.validation
        with self.trainee.weights_in_use(average=learning.ema_in_use):
            measure = partial(self.validator.measure, self.session.phase("validating", ""))
            loss = self.session.ladder.attempt("validation", measure, step=self.position.step)
        epoch = self.journey.epoch(done=True)
        if loss is not None:
            self.session.events.emit("validation", step=self.position.step, epoch=epoch, loss=loss)
            better = counts and self.best.note(loss, self.position.step, section.least_change)
            if better and section.keep_best and self.position.step > 0:
                self.saving.save_best(self.position.step, epoch)
        self.material.release_vae()

    def _sample(self, numbers: list[int] | None = None) -> None:
        with self.trainee.weights_in_use(average=self.session.config.learning.ema_in_use):
            self.samples.draw(self.position.step, self.journey.epoch(done=True), numbers)

    def save_now(self) -> None:
        """A LoRA file and a state, where there is none of this step yet, of what was learned so far."""
        self._save()
        if self.saving.state != self.position.step:
            self._write_state()

    def _save(self, *, final: bool = False) -> None:
        self.saving.save(self.position.step, self.journey.epoch(done=True), final=final)

    def _write_state(self) -> None:
        changes = self.course.upto(self.position.step)
        notes = {"owed": sorted(self.owed), "best": self.best.as_notes(), "changes": changes}
        snapshot = Snapshot(self.position, self.trainee.learned(), self._origin_now(), notes)
        self.saving.save_state(snapshot, self.journey.epoch(done=True))

    # -- state and numbers ---------------------------------------------------------------------------------------

    def _restore(self) -> None:
        work = partial(take_up, self.session, self.trainee, self.plan, self._origin_now())
        found = self.session.ladder.attempt("loading", work)
        if found is not None:
            self.journey.position, notes = found
            self.owed, self.best = set(notes.get("owed", ())), Best.of(notes.get("best", {}))
            self.course.remember(notes.get("changes"))
            self.course.reach(self.position.step)
            self.saving.state = self.position.step

    def _origin_now(self) -> dict[str, str]:
        """What the outcome depends on, with the base as it is kept since memory may have run out."""
        return {**self.origin, "weights": self.session.ladder.policy.weights}

    def _start_from_file(self) -> None:
        """Begin with another LoRA where the settings name one; a state has its own."""
        file = self.session.config.network.start_from
        if self.saving.state >= 0 or not file:
            return
        self.session.phase("loading", _("network"))
        left = start_from(self.trainee.adapter, file, self.session.config.model.family)
        if self.trainee.average:
            self.trainee.average.load({})
        if left:
            text = ngettext(
                "{count} layer of {name} is not trained here and is left out.",
                "{count} layers of {name} are not trained here and are left out.",
                len(left),
            )
            self.session.warn("lora.left_out", text.format(count=len(left), name=plain(Path(file).name)))

    def park(self) -> None:
        """Make the last update safe on disk and leave the device; samples may be half drawn."""
        self.trainee.set_down()
        self.session.ladder.let_go()
        if self.position.step > max(self.saving.state, 0):
            self._write_state()
        self.saving.writer.settle()
        self.concert.park()

    def unpark(self) -> None:
        """Take the device again; the time away counts for no step."""
        self.concert.unpark()
        self.trainee.use_again()
        self.session.phase("training", "")
        self.drain.lap()

    def _announce(self) -> None:
        plan, session = self.plan, self.session
        record_totals(session, total_steps=plan.total_steps, epochs=plan.total_epochs)
        session.events.emit(
            "run",
            version=__version__,
            name=session.folder.name,
            family=session.config.model.family,
            device=", ".join(dict.fromkeys(map(str, session.devices))) or str(session.device),
            pid=os.getpid(),
            processes=session.ranks.count,
            prompts=len(session.config.samples),
            total_steps=plan.total_steps,
            epochs=plan.total_epochs,
            batches_per_epoch=plan.batches_per_epoch,
            steps_per_epoch=plan.steps_per_epoch,
            images=len(plan.pictures),
            validation_images=len(plan.validation),
            masked=plan.masked,
        )

    def _deliver(self, numbers: StepNumbers) -> None:
        """Numbers of a step have arrived from the device; the rates are those that the weights moved with."""
        fields, seconds = {**numbers.fields}, numbers.seconds
        measures, images = fields.pop("measures"), fields.pop("images")
        fields["step_seconds"] = round(seconds, 5)
        fields["images_per_second"] = round(images / seconds, 3) if seconds > 0 else None
        if numbers.own_rate != 1.0:
            fields["lr"] = {part: rate * numbers.own_rate for part, rate in fields["lr"].items()}
        if "d" in fields:
            fields["d"] = numbers.own_rate
        self.session.events.emit("step", loss=numbers.loss, grad_norm=numbers.grad_norm, **fields)
        record_beginning(self.session)
        self.lost.note(fields["step"], skipped=numbers.skipped)
        self.measures.deliver(fields["step"], numbers.more, measures)
