"""What learns: base model, adapter and optimizer, put together for one run, with its state in and out."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lora_tui.config.layers import read_rules, trained
from lora_tui.config.schema import LearningSection
from lora_tui.config.text_rates import text_rate, text_updates
from lora_tui.families.packed import packed_store
from lora_tui.families.protocol import Model
from lora_tui.runs.memory_policy import Policy
from lora_tui.text import _, ngettext, plain
from lora_tui.trainer.adapters.kinds import attach
from lora_tui.trainer.adapters.protocol import Adapter, fits, load_tensors
from lora_tui.trainer.optim.average import Average
from lora_tui.trainer.optim.optimizers import recipe
from lora_tui.trainer.optim.schedules import rate_factor
from lora_tui.trainer.optim.stepper import Stepper
from lora_tui.trainer.session import Session
from lora_tui.trainer.state import Learned


class MismatchError(Exception):
    """A saved state is of another adapter or optimizer."""


@dataclass
class Trainee:
    """The learning parts of a run; the optimizer's groups are as the configuration makes them when it is built."""

    model: Model
    adapter: Adapter
    stepper: Stepper
    average: Average | None = None
    _configured: list[dict[str, Any]] = field(init=False)
    _away: list[tuple[dict[str, Any], str, torch.device]] = field(default_factory=list, init=False)
    _stopped: bool = field(default=False, init=False)  # text encoders had stopped at the last update
    _wanted: bool | None = field(default=None, init=False)  # within weights_in_use: whether their average is
    _used: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, init=False)

    def __post_init__(self) -> None:
        self._configured = _settings(self.stepper.optimizer)

    def set_rates(self, learning: LearningSection, step: int, total: int, share: float = 1.0) -> dict[str, float]:
        """Set the learning rates for update number ``step`` (from 0) of ``total`` and return them by part.

        Text encoders that have stopped are at 0 and get no gradients, which no optimizer takes for news; where the end
        was put off they may learn again. ``share``: of the rates that were configured.
        """
        factor = rate_factor(learning, step, total) * share
        stopped = step >= text_updates(learning, total)
        again, self._stopped = self._stopped and not stopped, stopped
        now: dict[str, float] = {}
        for group, configured in zip(self.stepper.optimizer.param_groups, self._configured, strict=True):
            group["lr"] = configured["lr"] * factor
            if stopped and group["name"] != self.model.facts.denoiser:
                group["lr"] = 0.0
                for parameter in group["params"]:  # again each time: drawing at strength 0 lets them learn
                    parameter.requires_grad_(False)
            elif again:
                for parameter in group["params"]:
                    parameter.requires_grad_(True)
            now.setdefault(group["name"], group["lr"])
        return now

    def learned(self) -> Learned:
        """Everything that changes while it learns, as it is now, in tensors that live on with it."""
        scaler = self.stepper.scaler.state_dict() if self.stepper.scaler else {}
        average = self.average.tensors() if self.average else {}
        return Learned(self.adapter.tensors(), self.stepper.optimizer.state_dict(), self._configured, scaler, average)

    def fingerprint(self) -> str:
        """A digest of the adapter's tensors, to the bit."""
        digest = hashlib.blake2b(digest_size=16)
        for name, tensor in self.adapter.tensors().items():
            plain = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            digest.update(name.encode() + plain.numpy().tobytes())
        return digest.hexdigest()

    def settle(self, step: int) -> None:
        """What is to be done after update number ``step`` (from 1): bounds, then the average."""
        self.adapter.settle()
        if self.average:
            self.average.update(step)

    @contextlib.contextmanager
    def weights_in_use(self, *, average: bool = False) -> Iterator[None]:
        """The weights are those to draw with, measure and save; ``average``: their average, where there is one."""
        self._wanted = average
        try:
            self.use_again()
            yield
        finally:
            self.set_down()
            self._wanted = None

    def set_down(self) -> None:
        """The weights are those that learn until :meth:`use_again`, even within :meth:`weights_in_use`.

        For a pause that begins there: its state holds what learns, and no copy of that stays on the device.
        """
        self._used.close()

    def use_again(self) -> None:
        """The weights are those that :meth:`weights_in_use` asked for, where the run is within it."""
        if self._wanted is None:
            return
        with contextlib.ExitStack() as entered:
            entered.enter_context(self.stepper.weights_in_use())
            if self._wanted and self.average:
                entered.enter_context(self.average.in_use())
            self._used = entered.pop_all()

    def restore(self, learned: Learned) -> None:
        """Become what :meth:`learned` described.

        What an optimizer keeps in its groups goes on; a setting that the configuration changed since is taken from
        there.

        Raises:
            MismatchError: it is of another adapter or optimizer.
        """
        optimizer = self.stepper.optimizer
        if not fits(self.adapter, learned.adapter) or not _same_groups(optimizer, learned.optimizer):
            raise MismatchError
        load_tensors(self.adapter, learned.adapter)
        if self.average:
            self.average.load(learned.average)
        optimizer.load_state_dict(learned.optimizer)
        for group, now, then in zip(optimizer.param_groups, self._configured, learned.configured, strict=True):
            group.update({name: value for name, value in now.items() if name not in then or then[name] != value})
        self.stepper.train()
        if self.stepper.scaler and learned.scaler:
            self.stepper.scaler.load_state_dict(learned.scaler)

    def park(self) -> None:
        """Move everything off the device."""
        self.stepper.let_go()
        for state in self.stepper.optimizer.state.values():
            for name, value in state.items():
                if isinstance(value, Tensor) and value.device.type != "cpu":
                    self._away.append((state, name, value.device))
                    state[name] = value.cpu()
        if self.average:
            self.average.move(torch.device("cpu"))
        self.model.park()

    def unpark(self) -> None:
        """Move everything back to where it was.

        Raises:
            torch.OutOfMemoryError: the GPU has no room for it; :meth:`park` takes it away again.
        """
        self.model.unpark()
        while self._away:
            state, name, device = self._away[-1]
            state[name] = state[name].to(device)
            self._away.pop()
        if self.average:
            self.average.move()


def _settings(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """What an optimizer's groups say besides their parameters."""
    return [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]


def _same_groups(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> bool:
    sizes = [len(group["params"]) for group in optimizer.param_groups]
    return sizes == [len(group["params"]) for group in saved.get("param_groups", ())]


def build_trainee(session: Session, model: Model) -> Trainee:
    """Load what is trained, attach the adapter and make its optimizer.

    Raises:
        UserError: the base model cannot be loaded, or a library that the settings need is not installed.
    """
    ladder, text_encoder = session.ladder, session.config.trains_text

    def checkpoint(policy: Policy) -> None:
        model.enable_checkpointing(text_encoder=text_encoder, share=policy.checkpointed)

    drop = partial(model.release, "network", "text_encoders")
    trainee = ladder.attempt("loading", partial(_build, session, model), drop=drop)
    if ladder.policy.checkpointed:
        checkpoint(ladder.policy)
    ladder.changed.append(checkpoint)
    if ladder.is_down or session.config.network.module_dropout > 0:  # then other layers have a gradient each time
        trainee.stepper.take_apart()
    ladder.changed.append(lambda _policy: trainee.stepper.take_apart() if ladder.is_down else None)
    return trainee


def _tell_left_out(session: Session, model: Model, modules: Mapping[str, nn.Module]) -> None:
    """Name what merged LoRA files hold and this model does not.

    Raises:
        UserError: one of them has nothing for it.
    """
    texts = [(target.part, target.path) for target in model.targets(text_encoder=True)]
    left = model.beneath.left_out(modules, texts)
    if left:
        text = ngettext(
            "{count} layer of the merged LoRAs is none of the base model's and is left out: {name}.",
            "{count} layers of the merged LoRAs are none of the base model's and are left out, {name} for one.",
            len(left),
        )
        session.warn("lora.left_out", text.format(count=len(left), name=plain(left[0], limit=120)))


def _build(session: Session, model: Model) -> Trainee:
    config = session.config
    learning, text_encoder = config.learning, config.trains_text
    modules = model.adapted_modules(text_encoder=text_encoder)
    if getattr(modules[model.facts.denoiser], "packed_from", "") == "not_kept":
        session.warn(
            "cache.packed",
            _("the packed base model cannot be kept in the cache: it is packed anew at each start."),
            _("Make room on the disk of {folder}.").format(folder=plain(str(packed_store().folder))),
        )
    _tell_left_out(session, model, modules)
    targets = model.targets(text_encoder=text_encoder, convolutions=config.network.convolutions)
    read_rules(config.network.layers)
    targets = trained(config.network, targets)
    adapter = attach(config.network, modules, targets, seed=config.steps.seed, device=model.device)
    drawing = model.facts.denoiser
    modules = {part: module for part, module in modules.items() if any(target.part == part for target in targets)}
    rates = {part: learning.unet_lr if part == drawing else text_rate(learning, part) for part in modules}
    optimizer = recipe(config.optimizer).build(adapter.groups(rates))
    scaler = torch.amp.GradScaler(model.device.type) if model.dtype == torch.float16 else None
    average = Average(adapter.tensors(), learning.ema_decay) if learning.ema_decay > 0 else None
    return Trainee(model, adapter, Stepper(optimizer, config.optimizer.max_grad_norm, scaler), average)
