"""What an objective asks of a model, without one: its schedule and what it predicts."""

from __future__ import annotations

from typing import Any

import torch

CONFIG = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}


class Scheduled:
    """As much of a model as an objective looks at."""

    device = torch.device("cpu")

    def __init__(self, prediction: str = "epsilon", **schedule: Any) -> None:
        self.prediction = prediction
        self._schedule = schedule

    def scheduler_config(self) -> dict[str, Any]:
        return {**CONFIG, **self._schedule}
