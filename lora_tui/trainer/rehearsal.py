"""A batch of the plan taken forward and back before the first update, of which nothing stays."""

from __future__ import annotations

import torch

from lora_tui.dataset.batches import Batch, DataPlan
from lora_tui.trainer.data.prepared import Prepared
from lora_tui.trainer.material import Material
from lora_tui.trainer.memory.passes import parts_of
from lora_tui.trainer.session import Session
from lora_tui.trainer.trainee import Trainee


def rehearse(session: Session, material: Material, trainee: Trainee, batch: Prepared) -> None:
    """Take ``batch`` forward and back as an update does, and forget it: gradients and random numbers are as before.

    Raises:
        Exception: what the passes raised, a shortage of memory among it.
    """
    with torch.random.fork_rng([session.device] if session.device.type == "cuda" else []):
        try:
            for part, share in parts_of(batch, session.ladder.policy.images):
                with trainee.adapter.learning(0, share):
                    trainee.stepper.backward(material.step.losses(part).sum())
        finally:
            trainee.stepper.discard()


def batches_by_shape(plan: DataPlan) -> list[Batch]:
    """A batch of each shape in the first epoch of ``plan``, the largest first: the same in every life of a run."""
    found: dict[tuple[int, int, int], Batch] = {}
    for batch in plan.epoch(0):
        found.setdefault((len(batch.items), batch.bucket.width, batch.bucket.height), batch)
    return [batch for _shape, batch in sorted(found.items(), key=lambda entry: entry[0], reverse=True)]
