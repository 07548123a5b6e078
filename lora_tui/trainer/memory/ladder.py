"""Going on when memory runs out: what failed is done again from where it began, in a way that needs less.

Where it is asked for, the first updates may lead up instead, see :mod:`lora_tui.trainer.memory.room`.

Peers skip the batch and give up after three (ai-toolkit), or stop; see :mod:`lora_tui.trainer.memory.rungs` for what is
done here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch

from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.memory_policy import ENTRY, ROOM, Policy
from lora_tui.runs.record import read_record, update_record
from lora_tui.text import N_, _
from lora_tui.trainer.memory.room import Room
from lora_tui.trainer.memory.rungs import Place, Scene, next_rung
from lora_tui.trainer.memory.shortage import give_back, is_shortage
from lora_tui.trainer.ranks import Alone, Ranks

T = TypeVar("T")

_ALONE = Alone()

CODE = "gpu.memory"
"""Of the failure when no rung is left, as a death of the same cause has it."""

RAN_OUT: Mapping[Place, str] = {
    "loading": N_("memory ran out while the base model was loaded."),
    "latents": N_("memory ran out while images were encoded."),
    "texts": N_("memory ran out while captions were encoded."),
    "training": N_("memory ran out in step {step}."),
    "sampling": N_("memory ran out while a sample was drawn."),
    "decoding": N_("memory ran out while a sample was decoded."),
    "validation": N_("memory ran out in the validation."),
    "saving": N_("memory ran out while the result was saved."),
}


class NoRungLeft(UserError):
    """Memory ran out, and all that takes less is done already."""


@dataclass(frozen=True)
class Shortage:
    """Where memory ran out, and in which step."""

    place: Place
    step: int


@dataclass
class Ladder:
    """The way down of one life of a run.

    Attributes:
        scene: what the rungs depend on; set as it becomes known.
        changed: told of each new policy, in this order; each brings its part of the run in line, and may run out of
            memory itself.
        idle: lets go of what is kept to be quicker and can be made again; called when memory has run out and in a
            pause.
        spare: gives up for good what is kept to be quicker, and tells whether it had any; called before a rung is
            taken.
        held: bytes of the device that lie ready in torch's cache for recorded passes alone.
        risky: the next update may find no room: none was taken yet, or memory has run out since.
        tells: whether steps down are told and recorded, which one process does for all.
    """

    folder: RunFolder
    config: Config
    events: EventWriter
    device: torch.device
    policy: Policy = field(init=False)
    scene: Scene = field(default_factory=Scene)
    changed: list[Callable[[Policy], None]] = field(default_factory=list)
    idle: list[Callable[[], object]] = field(default_factory=list)
    spare: list[Callable[[], bool]] = field(default_factory=list)
    held: Callable[[], int] = lambda: 0
    tells: bool = True
    risky: bool = True
    _asked: Policy = field(init=False)
    _downs: list[dict[str, Any]] = field(default_factory=list, init=False)
    _emptied: set[Place] = field(default_factory=set, init=False)  # where giving back was tried already
    _room: Room = field(init=False)

    def __post_init__(self) -> None:
        self.policy = self._asked = Policy.of(self.config)
        memory, share = self.config.memory, self._asked.checkpointed
        searching = memory.when_room == "adapt" and self.is_on and share > 0 and not self._asked.streamed
        self._room = Room(self.device, share, searching)

    @property
    def is_down(self) -> bool:
        """Whether memory has run out in this run so that it does more to need less than was asked for."""
        share = max(self.policy.checkpointed, self._asked.checkpointed)
        return replace(self.policy, checkpointed=share) != self._asked

    @property
    def is_on(self) -> bool:
        """Whether a shortage is answered at all."""
        return self.config.memory.when_full != "stop"

    def attempt(
        self,
        place: Place,
        work: Callable[[], T],
        *,
        step: int = 0,
        drop: Callable[[], object] = lambda: None,
        again: Callable[[], object] = lambda: None,
        ranks: Ranks = _ALONE,
    ) -> T:
        """The result of ``work``, which is done again from its beginning as long as memory runs out and a rung is left.

        Args:
            step: where the run is, for what is said.
            drop: lets go of what a try that failed has left in memory; called before anything is moved.
            again: puts back what a try has changed; called before the next one, with the rung already taken.
            ranks: those who try at the same time and meet after every try: where memory ran out in any of them, all
                step down.

        Raises:
            NoRungLeft: memory runs out all the same.
        """
        if not self.is_on:
            return work()
        while True:
            short, result = False, None
            if place == "training":
                self._room.begin()
            try:
                result = work()
            except Exception as error:
                if not is_shortage(error):
                    raise
                short = True
            # Only here, when the error and the frames that it holds are gone, can their memory be given back.
            if not (self._room.meet(ranks, short=short) if place == "training" else ranks.any(short)):
                if place == "training":
                    self._take_room(step)
                return result  # type: ignore[return-value]
            result = None
            drop()
            self.step_down(Shortage(place, step))
            again()

    def step_down(self, shortage: Shortage) -> None:
        """Give unused memory back, and from the second time on take the next rung; tell and note it.

        Raises:
            NoRungLeft: there is none.
        """
        self.risky, self._room.searching = True, False
        self.let_go()
        give_back(self.device)
        if shortage.place not in self._emptied:
            self._emptied.add(shortage.place)
            self._tell(shortage, _("What nothing uses any more is given back."))
            return
        spared = [one() for one in self.spare]
        if any(spared):
            give_back(self.device)
            self._tell(shortage, _("What was kept only to be quicker is given up."))
            return
        before = self.policy
        while True:
            policy = next_rung(self.policy, shortage.place, self.scene)
            if policy is None:
                over = _("Everything that takes less and learns the same is done already.")
                raise NoRungLeft(f"{self._where(shortage)} {over}", remedy=self._remedy(), code=CODE)
            self.policy = policy
            try:
                for change in self.changed:
                    change(policy)
            except Exception as error:
                if not is_shortage(error):
                    raise
            else:
                break
            give_back(self.device)
        self._note(shortage.place, shortage.step)
        said = ", ".join(self.policy.beyond(before))
        self._tell(shortage, _("From now on {changes}.").format(changes=said), self.policy.as_dict())

    def let_go(self) -> None:
        """Keep nothing that can be made again."""
        for one in self.idle:
            one()

    def take_up(self) -> None:
        """Begin where the last life of the run came to, unless the settings ask for something else than then."""
        entry = read_record(self.folder).get(ENTRY)
        if not self.is_on or not isinstance(entry, Mapping) or entry.get("settings") != self._settings():
            return
        used, downs = Policy.read(entry.get("used")), entry.get("steps_down")
        if used is not None and isinstance(downs, list) and downs:
            self.policy, self._downs = used, [down for down in downs if isinstance(down, dict)]
            self._room.searching = False

    def as_record(self) -> dict[str, Any]:
        """What the record says of the run's memory."""
        return {
            "settings": self._settings(),
            "asked": self._asked.as_dict(),
            "used": self.policy.as_dict(),
            "steps_down": self._downs,
        }

    def _settings(self) -> list[Any]:
        """What a policy that was reached is for; with other settings it is found anew."""
        memory = self.config.memory
        room = [memory.when_room] if memory.when_room != "keep" else []  # as records from before say it
        return [self._asked.as_dict(), memory.when_full, self.config.steps.batch_size, *room]

    def _take_room(self, step: int) -> None:
        """After an update: have fewer blocks compute again where that is known to fit, or to find it out."""
        share = self._room.next_share(self.policy.checkpointed) if self.tells else None
        if share is None:
            return
        self.policy = replace(self.policy, checkpointed=share)
        for change in self.changed:
            change(self.policy)
        if self._room.searching or self.policy == self._asked:
            return
        self._note(ROOM, step)
        text = _("The memory measured until step {step} leaves room. From now on {changes}.")
        message = text.format(step=step, changes=", ".join(self.policy.beyond(self._asked)))
        remedy, told = _("What is learned stays the same."), self.policy.as_dict()
        self.events.emit("warning", code="memory.room", message=message, remedy=remedy, place=ROOM, policy=told)
        print(message, remedy, flush=True)

    def _note(self, place: str, step: int) -> None:
        self._downs.append({"place": place, "step": step, "policy": self.policy.as_dict()})
        if not self.tells:
            return
        with contextlib.suppress(OSError):  # the event says it, too
            before = read_record(self.folder).get(ENTRY)
            entry = before if isinstance(before, dict) else {}
            update_record(self.folder, **{ENTRY: {**entry, **self.as_record()}})

    def _tell(self, shortage: Shortage, change: str, policy: Mapping[str, Any] | None = None) -> None:
        if not self.tells:
            return
        message = f"{self._where(shortage)} {change}"
        remedy = _("It is done again from where it began, with the same result.")
        if policy is not None and policy["weights"] != self._asked.weights:
            remedy = _("It is done again from where it began; on a packed base the result differs a little.")
        told = {"policy": policy} if policy is not None else {}
        self.events.emit("warning", code="memory.ladder", message=message, remedy=remedy, place=shortage.place, **told)
        print(_("warning:"), message, remedy, flush=True)

    def _where(self, shortage: Shortage) -> str:
        return _(RAN_OUT[shortage.place]).format(step=shortage.step)

    def _remedy(self) -> str:
        memory, ways = self.config.memory, []
        if memory.when_full != "pack" and self.policy.weights == "full" and not self.config.network.decomposed:
            ways.append(_("set memory.base_weights to fp8 or memory.when_full to pack"))
        if memory.base_weights in ("fp8", "int8"):
            ways.append(_("set memory.base_weights to nf4"))
        ways.append(_("lower data.resolution or network.rank, free memory on the GPU, or use a card with more"))
        return _("To go on: {ways}; then resume.").format(ways="; ".join(ways))
