"""What the processes of a run exchange: shown by threads, each with a process group of its own."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from lora_tui.trainer.optim.shared import add_up_gradients
from lora_tui.trainer.ranks import GO, PARK, UNPARK, Alone, Ranks, Together


def together(folder: Path, *parts: Callable[[Ranks], Any]) -> list[Any]:
    """What each of ``parts`` gives, as processes that meet."""
    store = dist.FileStore(str(folder / "store"), len(parts))
    given: list[Any] = [None] * len(parts)

    def play(number: int, part: Callable[[Ranks], Any]) -> None:
        group = dist.ProcessGroupGloo(store, number, len(parts), datetime.timedelta(seconds=30))
        try:
            given[number] = part(Together(group, number, len(parts), lambda error: error))
        except Exception as error:
            given[number] = error

    threads = [threading.Thread(target=play, args=pair) for pair in enumerate(parts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return given


@pytest.fixture(autouse=True)
def _on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")


def test_the_first_decides_and_all_know_what_any_of_them_found(tmp_path: Path) -> None:
    def part(ranks: Ranks) -> Any:
        agreed = ranks.agree({"rank": ranks.number, "words": ["ü", None]})
        counts = ranks.totals([1, ranks.number])
        return agreed, ranks.any(ranks.number == 1), ranks.any(False), counts, ranks.is_first

    first, *others = together(tmp_path, part, part, part)
    assert first == ({"rank": 0, "words": ["ü", None]}, True, False, [3, 3], True)
    assert [other[:4] for other in others] == [first[:4]] * 2
    assert not any(other[4] for other in others)
    assert Alone().agree("so") == "so"
    assert Alone().any(True)


def test_others_do_what_they_are_told_until_they_go_on(tmp_path: Path) -> None:
    def lead(ranks: Ranks) -> None:
        for word in (PARK, UNPARK, PARK, GO):
            ranks.tell(word)

    def follow(ranks: Ranks) -> list[str]:
        did: list[str] = []
        ranks.obey = {PARK: lambda: did.append("park"), UNPARK: lambda: did.append("unpark")}
        ranks.meet()
        return did

    assert together(tmp_path, lead, follow)[1] == ["park", "unpark", "park"]


BATCHES = torch.randn(5, 6, 4, generator=torch.Generator().manual_seed(1))  # five batches of six images
SIZES = (6, 6, 5, 1, 0)  # the last ones are short


def found(layers: list[Tensor], batches: list[int], full: int) -> tuple[int, Tensor]:
    """Gradients of a tiny network for some batches: the first layer is left out of the second batch."""
    images, losses = 0, [torch.zeros(())]
    for batch in (number for number in batches if SIZES[number]):
        x = BATCHES[batch][: SIZES[batch]]
        y = x if batch == 1 else x @ layers[0]
        loss = (y @ layers[1]).square().sum() / full
        loss.backward()
        losses.append(loss.detach())
        images += SIZES[batch]
    return images, torch.stack(losses).sum()


def shared(ranks: Ranks, batches: list[list[int]]) -> tuple[int, Tensor, list[Tensor | None]]:
    generator = torch.Generator().manual_seed(2)
    layers = [torch.randn(4, 4, generator=generator).requires_grad_() for _number in range(3)]
    images, loss = add_up_gradients(ranks, layers, partial(found, layers, batches[ranks.number], 30))
    return images, loss, [layer.grad for layer in layers]


def test_gradients_are_those_of_one_process_over_the_whole_batch(tmp_path: Path) -> None:
    images, loss, gradients = shared(Alone(), [[0, 1, 2, 3, 4]])
    assert images == 18
    split: list[list[int]] = [[0, 3], [1, 4], [2]]
    all_given = together(tmp_path, *[partial(shared, batches=split)] * 3)
    for given in all_given:
        assert given[0] == images
        assert torch.allclose(given[1], loss)
        assert given[2][2] is None  # nobody has a gradient of it: an optimizer is not to touch it
        for ours, theirs in zip(gradients[:2], given[2][:2], strict=True):
            assert torch.allclose(ours, theirs, atol=1e-6)
        assert all(torch.equal(one, other) for one, other in zip(given[2][:2], all_given[0][2][:2], strict=True))


def test_no_image_anywhere_leaves_no_gradient(tmp_path: Path) -> None:
    for images, _loss, gradients in together(tmp_path, *[partial(shared, batches=[[4], []])] * 2):
        assert images == 0
        assert gradients == [None] * 3


def test_memory_that_runs_out_in_one_process_runs_out_in_all(tmp_path: Path) -> None:
    weight = torch.ones(2).requires_grad_()

    def find(ranks: Ranks) -> tuple[int, Tensor]:
        if ranks.number == 1:
            raise torch.OutOfMemoryError("out of memory")
        return 1, torch.zeros(())

    errors = together(tmp_path, *[lambda ranks: add_up_gradients(ranks, [weight], partial(find, ranks))] * 2)
    assert [type(error) for error in errors] == [torch.OutOfMemoryError] * 2


def test_a_process_that_is_gone_is_noticed_by_the_others(tmp_path: Path) -> None:
    def leave(ranks: Ranks) -> None:
        ranks.barrier()

    def wait(ranks: Ranks) -> None:
        ranks.barrier()
        ranks.meet()

    assert isinstance(together(tmp_path, leave, wait)[1], RuntimeError)
