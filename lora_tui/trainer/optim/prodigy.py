"""Prodigy without waiting for the device: the estimate of the step size stays there as a tensor.

Mishchenko and Defazio 2023, "Prodigy: An Expeditiously Adaptive Parameter-Free Learner", algorithm 4; the choices that
the paper leaves open are those of the authors' library prodigyopt, whose every step this equals.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

ESTIMATE = "estimate"
"""Where the state of the whole optimizer stands among those of the weights."""


class Prodigy(torch.optim.Optimizer):
    """Adam whose step size grows from ``d0`` to what the way from the start and the gradients allow.

    All groups share the estimate; their rates must be the same, or 0, which leaves a group alone.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        betas: tuple[float, float] = (0.9, 0.999),
        beta3: float | None = None,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decouple: bool = True,
        use_bias_correction: bool = False,
        safeguard_warmup: bool = False,
        d0: float = 1e-6,
        d_coef: float = 1.0,
        growth_rate: float = math.inf,
    ) -> None:
        """Take the settings; ``beta3`` is the square root of the second beta unless it is given.

        Raises:
            ValueError: a number is out of its range.
        """
        if d0 <= 0 or d_coef <= 0 or growth_rate < 1 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError("d0 and d_coef must be above 0, growth_rate at least 1, betas from 0 up to 1")
        super().__init__(
            params,
            {
                "lr": lr, "betas": tuple(betas), "beta3": beta3, "eps": eps, "weight_decay": weight_decay,
                "decouple": decouple, "use_bias_correction": use_bias_correction,
                "safeguard_warmup": safeguard_warmup, "d0": d0, "d_coef": d_coef, "growth_rate": growth_rate, "k": 0,
            },
        )  # fmt: skip

    @property
    def estimate(self) -> Tensor:
        """The step size d, a scalar on the device; the weights move with d times their rate."""
        found: Tensor = self._estimates()["d"]
        return found

    def _estimates(self) -> dict[str, Tensor]:
        group = self.param_groups[0]
        device = group["params"][0].device
        state = self.state[ESTIMATE]
        if not state:
            first = torch.tensor(group["d0"], dtype=torch.float64, device=device)
            state.update(d=first, d_max=first.clone(), numerator=torch.zeros_like(first))
        for name, value in state.items():  # a state that was read back lies on the CPU
            state[name] = value.to(device)
        return state

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Take one step; nothing is done at a rate of 0."""
        rate = max(group["lr"] for group in self.param_groups)
        groups = [(group, [p for p in group["params"] if p.grad is not None]) for group in self.param_groups]
        groups = [(group, weights) for group, weights in groups if weights and group["lr"] > 0]
        if rate <= 0 or not groups:
            return
        first, estimates = self.param_groups[0], self._estimates()
        d = estimates["d"]
        dlr = d * (rate * _bias(first))
        delta, denominator = torch.zeros_like(d), torch.zeros_like(d)
        for group, weights in groups:
            moved, size = self._gather(group, weights, d, dlr)
            delta, denominator = delta + moved, denominator + size
        found = denominator > 0
        self._learn(estimates, first, found, delta, denominator)
        for group, weights in groups:
            self._move(group, weights, estimates["d"], torch.where(found, dlr, torch.zeros_like(dlr)))
        for group in self.param_groups:
            group["k"] += 1

    def _gather(self, group: dict[str, Any], weights: list[Tensor], d: Tensor, dlr: Tensor) -> tuple[Tensor, Tensor]:
        """Bring the averages of ``weights`` up to date; what they add to numerator and denominator of the estimate."""
        beta1, beta2 = group["betas"]
        gradients = [p.grad for p in weights]
        if group["weight_decay"] and not group["decouple"]:
            torch._foreach_add_(gradients, weights, alpha=group["weight_decay"])
        for p in weights:
            state = self.state[p]
            if not state:
                state.update({name: torch.zeros_like(p) for name in ("s", "exp_avg", "exp_avg_sq")}, p0=p.clone())
        away = torch._foreach_sub([self.state[p]["p0"] for p in weights], weights)
        torch._foreach_mul_(away, gradients)
        moved = d / group["d0"] * dlr * torch.stack([one.sum() for one in away]).sum().double()
        self._average(weights, gradients, "exp_avg", beta1, d * (1 - beta1))
        squares = torch._foreach_mul(gradients, gradients)
        self._average(weights, squares, "exp_avg_sq", beta2, d * d * (1 - beta2))
        share = d / group["d0"] * (d if group["safeguard_warmup"] else dlr)
        sums = self._average(weights, gradients, "s", _beta3(group), share)
        return moved, torch.stack(torch._foreach_norm(sums, 1)).sum().double()

    def _average(
        self, weights: list[Tensor], news: list[Tensor], name: str, beta: float, share: Tensor
    ) -> list[Tensor]:
        kept = [self.state[p][name] for p in weights]
        torch._foreach_mul_(kept, beta)
        torch._foreach_add_(kept, torch._foreach_mul(news, share.to(kept[0].dtype)))
        return kept

    @staticmethod
    def _learn(
        estimates: dict[str, Tensor], group: dict[str, Any], found: Tensor, delta: Tensor, denominator: Tensor
    ) -> None:
        """Take the new estimate, unless no gradient has ever been above 0."""
        d, most = estimates["d"], estimates["d_max"]
        numerator = estimates["numerator"] * _beta3(group) + delta
        reached = torch.where(found, group["d_coef"] * numerator / denominator, d)
        grown = torch.where(d == group["d0"], torch.maximum(d, reached), d)
        most = torch.maximum(most, reached)
        estimates["d"] = torch.where(found, torch.minimum(most, grown * group["growth_rate"]), d)
        estimates["d_max"] = torch.where(found, most, estimates["d_max"])
        estimates["numerator"] = torch.where(found, numerator, estimates["numerator"])

    def _move(self, group: dict[str, Any], weights: list[Tensor], d: Tensor, dlr: Tensor) -> None:
        """Move ``weights`` by the averages, ``dlr`` being 0 where nothing is to be done."""
        kind = weights[0].dtype
        roots = torch._foreach_sqrt([self.state[p]["exp_avg_sq"] for p in weights])
        torch._foreach_add_(roots, (d * group["eps"]).to(kind))
        if group["weight_decay"] and group["decouple"]:
            torch._foreach_mul_(weights, (1 - group["weight_decay"] * dlr).to(kind))
        steps = torch._foreach_div([self.state[p]["exp_avg"] for p in weights], roots)
        torch._foreach_mul_(steps, (-dlr).to(kind))
        torch._foreach_add_(weights, steps)


def _beta3(group: dict[str, Any]) -> float:
    return math.sqrt(group["betas"][1]) if group["beta3"] is None else float(group["beta3"])


def _bias(group: dict[str, Any]) -> float:
    beta1, beta2 = group["betas"]
    step = group["k"] + 1
    return math.sqrt(1 - beta2**step) / (1 - beta1**step) if group["use_bias_correction"] else 1.0
