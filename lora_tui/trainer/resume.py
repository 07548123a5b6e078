"""Going on with what an earlier life of a run had learned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_tui.dataset.batches import DataPlan
from lora_tui.errors import UserError
from lora_tui.text import _
from lora_tui.trainer.origin import tell_changes
from lora_tui.trainer.session import Session
from lora_tui.trainer.state import Position, read_newest
from lora_tui.trainer.trainee import MismatchError, Trainee


def take_up(
    session: Session, trainee: Trainee, plan: DataPlan, origin: Mapping[str, str]
) -> tuple[Position, Mapping[str, Any]] | None:
    """Put the newest whole state back; where it was, and what was noted with it. None without one.

    Whatever the outcome depends on and is not as it was then (``origin``) is warned of.

    Raises:
        UserError: the state does not fit the configuration, or is from another version.
    """

    torn: list[Path] = []
    found = read_newest(session.folder.state_dir, torn.append)
    if found is None:
        remedy = _("No other state is there: the run begins again.")
    else:
        remedy = _("The run goes on from step {step}.").format(step=found[0].position.step)
    for path in torn:
        text = _("the state {name} is damaged and is passed over.").format(name=path.name)
        session.warn("state.damaged", text, remedy)
    if found is None:
        return None
    snapshot, path = found
    tell_changes(snapshot.origin, origin, snapshot.position.step, session.warn)
    try:
        trainee.restore(snapshot.learned)
    except MismatchError:
        raise UserError(
            _("the saved state does not fit this configuration."),
            place=str(path),
            remedy=_(
                "Set rank, optimizer, trained parts and base model back to what they were and resume, "
                "or start a new run."
            ),
            code="state.mismatch",
        ) from None
    return _within(snapshot.position, plan), snapshot.notes


def _within(position: Position, plan: DataPlan) -> Position:
    """The place in a plan that may have fewer batches than then: where an update begins, or the next epoch."""
    batch = position.batch - position.batch % plan.accumulation
    if batch >= plan.batches_per_epoch:
        return Position(position.step, position.epoch + 1, 0)
    return Position(position.step, position.epoch, batch)
