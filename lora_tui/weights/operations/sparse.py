"""Merging whole differences entry by entry: TIES and DARE, seeded.

TIES (Yadav et al. 2023, "TIES-Merging: Resolving Interference When Merging Models"): of each difference the entries
that are largest by magnitude stay, a sign is elected for every entry, and those that agree with it are averaged. DARE
(Yu et al. 2023, "Language Models are Super Mario"): entries are dropped at random and the others made larger by as
much. Both work on what is added to a weight, never on the matrices of a LoRA, whose product is what counts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Method = Literal["ties", "dare", "dare-ties"]


def ties(deltas: Sequence[Tensor], weights: Sequence[float], density: float) -> Tensor:
    """The weighted mean of the entries that agree in sign, of the ``density`` largest of each difference."""
    return _agreeing([largest(one, density) for one in deltas], weights)


def dare(deltas: Sequence[Tensor], weights: Sequence[float], density: float, seed: int, name: str) -> Tensor:
    """The weighted sum of what chance leaves of each."""
    left = [thinned(one, density, seed, f"{name} {number}") for number, one in enumerate(deltas)]
    found = torch.zeros_like(left[0])
    for one, weight in zip(left, weights, strict=True):
        found += one * weight
    return found


def dare_ties(deltas: Sequence[Tensor], weights: Sequence[float], density: float, seed: int, name: str) -> Tensor:
    """As :func:`ties`, of what chance leaves of each."""
    return _agreeing([thinned(one, density, seed, f"{name} {number}") for number, one in enumerate(deltas)], weights)


def largest(delta: Tensor, density: float) -> Tensor:
    """``delta`` with its largest entries by magnitude, the share ``density`` of them, and 0 for the others."""
    count = int(density * delta.numel())
    if count >= delta.numel():
        return delta
    found = torch.zeros_like(delta)
    if count:
        kept = delta.flatten().abs().topk(count).indices
        found.view(-1)[kept] = delta.flatten()[kept]
    return found


def thinned(delta: Tensor, density: float, seed: int, name: str) -> Tensor:
    """``delta`` with each entry kept by the chance ``density`` and then divided by it; the same each time."""
    if density >= 1:
        return delta
    digest = hashlib.sha256(f"{seed} {name}".encode("utf-8", "surrogatepass")).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return delta * (torch.rand(delta.shape, generator=generator) < density) / density


def _agreeing(deltas: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The mean of weighted entries that have the sign of the sum of all, over as many as have it."""
    elected = torch.stack(list(deltas)).sum(0).sign()
    found, count = torch.zeros_like(deltas[0]), torch.zeros_like(deltas[0])
    for one, weight in zip(deltas, weights, strict=True):
        agrees = (one.sign() == elected) & (one != 0)
        found += one * weight * agrees
        count += agrees
    return found / count.clamp_min(1)
