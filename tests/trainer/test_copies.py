"""Tensors side by side in one piece of memory, and pieces that serve for the next save."""

from __future__ import annotations

import pytest
import torch

from lora_tui.trainer import copies
from lora_tui.trainer.copies import ALIGNED, PinnedCopies, laid_out, views
from lora_tui.weights.ordered import bytes_of

MIXED = {
    "odd": torch.arange(5, dtype=torch.uint8),
    "half": torch.randn(3, 7).to(torch.bfloat16),
    "whole": torch.randn(2, 3, 4),
    "flags": torch.tensor([True, False, True]),
    "step": torch.tensor(3.5, dtype=torch.float64),
    "none": torch.empty(0, 4),
    "small": torch.randn(9).to(torch.float8_e4m3fn),
    "count": torch.tensor([7, -1]),
    "turned": torch.randn(4, 6).t(),
}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the pieces of memory that were made; what is in them before is of no use."""
    sizes: list[int] = []

    def memory(size: int) -> torch.Tensor:
        sizes.append(size)
        return torch.full((size,), 255, dtype=torch.uint8)

    monkeypatch.setattr(copies, "pinned", memory)
    monkeypatch.setattr(copies, "queued", lambda: lambda: None)
    return sizes


def test_tensors_of_any_type_lie_side_by_side() -> None:
    given = list(MIXED.values())
    places, size = laid_out(given)
    assert all(place % ALIGNED == 0 for place in places) and size % ALIGNED == 0
    ends = [place + tensor.nbytes for place, tensor in zip(places, given, strict=True)]
    assert all(end <= begin for end, begin in zip(ends, [*places[1:], size], strict=True))
    memory = torch.full((size + 100,), 255, dtype=torch.uint8)
    found = views(memory, places, given)
    for view, tensor in zip(found, given, strict=True):
        assert (view.shape, view.dtype, view.is_contiguous()) == (tensor.shape, tensor.dtype, True)
        assert view.untyped_storage().data_ptr() == memory.untyped_storage().data_ptr()
        view.copy_(tensor)
    assert [bytes(bytes_of(view)) for view in found] == [bytes(bytes_of(tensor)) for tensor in given]
    assert laid_out([]) == ([], 0)


def test_copies_stay_what_they_were(made: list[int]) -> None:
    given = {name: tensor.clone() for name, tensor in MIXED.items()}
    found, wait = PinnedCopies().of(given)
    for tensor in given.values():
        tensor.zero_()
    wait()
    assert list(found) == list(MIXED)
    assert all(torch.equal(found[name].float(), tensor.float()) for name, tensor in MIXED.items())


def test_memory_of_one_save_serves_for_the_next_and_none_is_written_over(made: list[int]) -> None:
    kept = PinnedCopies()
    sizes = [1000, 5000, 1000]
    for value in range(4):
        kept.begin()
        held = [kept.of({"a": torch.full((size,), float(value + size))})[0]["a"] for size in sizes]
        assert [int(one[0]) for one in held] == [value + size for size in sizes]
        sizes = sizes[::-1] if value % 2 else [5000, 1000, 1000]  # in any order
    assert len(made) == 3, made
    kept.begin()
    kept.of({"a": torch.zeros(6000)})
    kept.of({})
    assert len(made) == 5, "what is too large for all there is has memory of its own; nothing takes none of theirs"
