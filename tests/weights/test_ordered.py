"""The same content gives the same bytes, and the library reads them."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load, save

from lora_tui.caches.store import ContentStore
from lora_tui.families.unpickle import unpickle
from lora_tui.files import sweep_temporaries
from lora_tui.weights.ordered import TYPES, save_file_ordered, save_ordered

TENSORS = {"b.weight": torch.arange(6.0).reshape(2, 3), "a.alpha": torch.tensor(4, dtype=torch.int8)}
KEYS = [f"key {number}" for number in range(40)]


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=20), max_size=12))
def test_any_metadata_reads_back_from_the_same_bytes_each_time(metadata: dict[str, str]) -> None:
    first = save_ordered(TENSORS, metadata)
    assert first == save_ordered(TENSORS, dict(reversed(metadata.items())))
    assert all(torch.equal(value, TENSORS[name]) for name, value in load(first).items())


@given(
    st.dictionaries(
        st.text(max_size=4),
        st.tuples(st.sampled_from(list(TYPES)), st.lists(st.integers(0, 3), max_size=3)),
        min_size=1,
        max_size=6,
    ),
    st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=1),
)
def test_the_library_writes_the_same_bytes(
    planned: dict[str, tuple[torch.dtype, list[int]]], metadata: dict[str, str]
) -> None:
    tensors = {name: torch.zeros(shape, dtype=dtype) for name, (dtype, shape) in planned.items()}
    assert save_ordered(tensors, metadata) == save(tensors, metadata)


def test_a_file_has_the_keys_in_order(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file_ordered(TENSORS, path, dict.fromkeys(reversed(KEYS), "说 \"'\\ \n\x7f"))
    assert path.read_bytes() == save_ordered(TENSORS, dict.fromkeys(KEYS, "说 \"'\\ \n\x7f"))
    header = path.read_bytes().decode("utf-8", "replace")
    places = [header.index(f'"{key}"') for key in sorted(KEYS)]
    assert places == sorted(places)
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == dict.fromkeys(KEYS, "说 \"'\\ \n\x7f")
        assert torch.equal(file.get_tensor("b.weight"), TENSORS["b.weight"])


def killed(work: Callable[[], object], size: int) -> int:
    """The signal that ends a process within a write, when a file that it writes comes to ``size`` bytes."""
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        try:
            work()
        finally:
            os._exit(0)
    return -os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def keep(folder: Path) -> None:
    big = {"a": torch.zeros(100_000)}
    ContentStore(folder, "packed").put_file("ab12", lambda path: save_file_ordered(big, path, {}))


def convert(folder: Path) -> None:
    unpickle(folder / "old.pt", folder / "packed" / "ab" / "new.safetensors")


@pytest.mark.parametrize("work", [keep, convert])
def test_what_a_killed_process_leaves_is_known_and_swept(tmp_path: Path, work: Callable[[Path], None]) -> None:
    torch.save({"a": torch.zeros(100_000)}, tmp_path / "old.pt")
    folder = tmp_path / "packed" / "ab"
    folder.mkdir(parents=True)
    assert killed(lambda: work(tmp_path), 50_000) == signal.SIGXFSZ
    [left] = folder.iterdir()
    assert left.stat().st_size == 50_000
    os.utime(left, (0, 0))
    assert sweep_temporaries(folder) == 1
    assert not list(folder.iterdir())
