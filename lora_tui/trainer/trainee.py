"""What learns: base model, adapter and optimizer, put together for one run, with its state in and out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lora_tui.config.schema import Config
from lora_tui.trainer.adapters import Adapter, attach_lora
from lora_tui.trainer.optim.optimizers import Stepper, build_optimizer
from lora_tui.trainer.optim.schedules import rate_factor
from lora_tui.trainer.session import Session
from lora_tui.trainer.state import Position, Snapshot


class MismatchError(Exception):
    """A saved state is of another adapter or optimizer."""


@dataclass
class Trainee:
    """The learning parts of a run.

    ``rates`` are the base learning rates by part (``unet``, ``text_encoder``).
    """

    model: Any
    adapter: Adapter
    stepper: Stepper
    rates: Mapping[str, float]

    def set_rates(self, config: Config, step: int, total: int) -> dict[str, float]:
        """Set the learning rates for update number ``step`` (from 0) and return them by part."""
        factor = rate_factor(config.learning, step, total)
        now = {part: rate * factor for part, rate in self.rates.items()}
        for group in self.stepper.optimizer.param_groups:
            group["lr"] = now[group["name"]]
        return now

    def snapshot(self, position: Position, plan: str, notes: dict[str, Any]) -> Snapshot:
        """Everything that changes while it learns, as it is now."""
        adapter = {name: p.detach().to("cpu", copy=True) for name, p in self.adapter.tensors().items()}
        scaler = self.stepper.scaler.state_dict() if self.stepper.scaler else {}
        return Snapshot(position, adapter, self.stepper.optimizer.state_dict(), scaler, plan, notes)

    def restore(self, snapshot: Snapshot) -> None:
        """Become what :meth:`snapshot` described.

        The learning rate and the optimizer's other settings stay those of the configuration.

        Raises:
            MismatchError: the snapshot is of another adapter or optimizer.
        """
        optimizer = self.stepper.optimizer
        if not self.adapter.fits(snapshot.adapter) or not _same_groups(optimizer, snapshot.optimizer):
            raise MismatchError
        settings = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
        self.adapter.load(snapshot.adapter)
        optimizer.load_state_dict(snapshot.optimizer)
        for group, wanted in zip(optimizer.param_groups, settings, strict=True):
            group.update(wanted)
        if self.stepper.scaler and snapshot.scaler:
            self.stepper.scaler.load_state_dict(snapshot.scaler)

    def park(self) -> None:
        """Move everything off the device."""
        self._move(torch.device("cpu"))
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def unpark(self) -> None:
        """Move everything back."""
        self._move(self.model.device)

    def _move(self, device: torch.device) -> None:
        for module in self.model.loaded():
            module.to(device)
        for state in self.stepper.optimizer.state.values():
            for name, value in state.items():
                if isinstance(value, Tensor):
                    state[name] = value.to(device)


def _same_groups(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> bool:
    sizes = [len(group["params"]) for group in optimizer.param_groups]
    return sizes == [len(group["params"]) for group in saved.get("param_groups", ())]


def build_trainee(session: Session, model: Any) -> Trainee:
    """Load what is trained, attach the adapter and make its optimizer.

    Raises:
        UserError: the base model cannot be loaded.
    """
    config = session.config
    parts: dict[str, nn.Module] = {"unet": model.denoiser()}
    rates = {"unet": config.learning.unet_lr}
    if config.network.text_encoder:
        parts.update(model.text_encoders())
        rates.update(dict.fromkeys(model.text_encoders(), config.learning.text_encoder_lr))
    targets = model.facts.targets(model.source.path, text_encoder=config.network.text_encoder)
    adapter = attach_lora(
        parts, targets, rank=config.network.rank, alpha=config.network.alpha, seed=config.steps.seed,
        device=session.device,
    )  # fmt: skip
    if config.memory.gradient_checkpointing:
        model.enable_checkpointing(text_encoder=config.network.text_encoder)
    optimizer = build_optimizer(config.optimizer, adapter.groups(rates))
    scaler = torch.amp.GradScaler(session.device.type) if session.dtype == torch.float16 else None
    return Trainee(model, adapter, Stepper(optimizer, config.optimizer.max_grad_norm, scaler), rates)
