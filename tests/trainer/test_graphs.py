"""Steps that are recorded and played again give what plain ones give; what cannot be recorded computes as ever.

Without a GPU the recorder is one of this file's, that does the recorded work again into the memory of the first time,
as CUDA graphs do; those themselves are for the tests with a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from learners import Learner, alike
from lives import events, lean_config, live_here, lora, new_run, same_tensors
from torch import Tensor

from lora_tui.config.load import load_config
from lora_tui.families.precision import autocast
from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.quicker import quicker_words
from lora_tui.runs.record import read_record
from lora_tui.trainer import graphs as module
from lora_tui.trainer.compiled import Compiled
from lora_tui.trainer.graphs import CudaRecorder, Graphs
from lora_tui.trainer.memory.ladder import Ladder, Shortage
from lora_tui.trainer.memory.shortage import has_room

T = TypeVar("T")


class Again:
    """Records by remembering the work."""

    def __init__(self) -> None:
        self.played = 0

    @staticmethod
    def serves(_device: torch.device) -> bool:
        return True

    def warm_up(self, work: Callable[[], object]) -> None:
        work()

    def held(self) -> int:
        return 10 * self.played

    def record(self, work: Callable[[], T]) -> tuple[T, Callable[[], object]]:
        first = work()
        places = first if isinstance(first, tuple) else (first,)

        def play() -> None:
            self.played += 1
            with torch.enable_grad():
                found = work()
            for place, tensor in zip(places, found if isinstance(found, tuple) else (found,), strict=True):
                if isinstance(place, Tensor) and tensor is not place:
                    place.detach().copy_(tensor.detach())

        return first, play


class Baked(Again):
    """Gives what it gave the first time, whatever it is asked."""

    def record(self, work: Callable[[], T]) -> tuple[T, Callable[[], object]]:
        return work(), lambda: None


class Broken(Again):
    def record(self, _work: Callable[[], T]) -> tuple[T, Callable[[], object]]:
        raise RuntimeError("operation not permitted when stream is capturing\nand more of it")


def graphs_of(learner: Learner, recorder: Any) -> Graphs:
    return Graphs(learner.model, list(learner.adapter.tensors().values()), recorder)


class Batches:
    """Passes of a learner forward and back, each with numbers of its own."""

    def __init__(self, learner: Learner, predict: Callable[..., Tensor]) -> None:
        self.learner, self.predict = learner, predict
        self.tensors = list(learner.adapter.tensors().values())

    def __call__(self, number: int, width: int = 8, *, text_learns: bool = False) -> list[Tensor]:
        """Output, then the gradients that wait after it, and the text's own where it learns."""
        model, generator = self.learner.model, torch.Generator().manual_seed(number)
        noisy = torch.randn(1, model.facts.latent_channels, 8, width, generator=generator)
        text = {name: tensor.clone() for name, tensor in self.learner.text.items()}
        if text_learns:
            text["text"].requires_grad_(True)
        with self.learner.adapter.learning(number), autocast(model.device, model.dtype):
            output = self.predict(
                noisy.to(model.device, model.dtype), torch.tensor([100 * number], device=model.device), text
            )
        output.float().square().sum().backward()
        found = [output.detach(), *(tensor.grad.clone() for tensor in self.tensors if tensor.grad is not None)]
        return [*found, text["text"].grad] if text_learns else found  # type: ignore[list-item]

    def clear(self) -> None:
        for tensor in self.tensors:
            tensor.grad = None


@pytest.mark.parametrize("family", ["sd15", pytest.param("sdxl", marks=pytest.mark.slow), "flux"])
def test_what_is_played_is_what_plain_passes_give(tmp_path: Path, family: str) -> None:
    """Whatever the numbers, also added up over batches, between shapes, and with weights that have learned since."""
    learner = Learner(tmp_path, family)
    graphs = graphs_of(learner, Again)
    plain, played = Batches(learner, learner.model.predict), Batches(learner, graphs.predict)
    for _round in range(3):
        for batches in ([(1, 8)], [(2, 8), (3, 12), (4, 8)]):
            wanted = [plain(number, width) for number, width in batches]
            plain.clear()
            got = [played(number, width) for number, width in batches]
            played.clear()
            for one, other in zip(wanted, got, strict=True):
                alike(one, other)
        for tensor in played.tensors:
            tensor.data.mul_(0.9)
    assert graphs.shapes == 2 and not graphs.reason


def test_text_that_learns_gets_its_gradient(tmp_path: Path) -> None:
    learner = Learner(tmp_path, "sd15")
    graphs = graphs_of(learner, Again)
    plain, played = Batches(learner, learner.model.predict), Batches(learner, graphs.predict)
    for number in (1, 2, 3):
        wanted = plain(number, text_learns=True)
        plain.clear()
        alike(wanted, played(number, text_learns=True))
        played.clear()
    assert graphs.shapes == 1
    alike(plain(4), played(4)[:1] + plain_gradients(learner, 4))  # frozen again is another shape


def test_what_is_recorded_computes_in_the_types_of_plain_passes(tmp_path: Path) -> None:
    """The way back outside of autocast, as a step's is; gradients of all shapes in the same memory."""
    learner, mixed = Learner(tmp_path, "sd15", dtype=torch.bfloat16), []

    class Watched(Again):
        def record(self, work: Callable[[], T]) -> tuple[T, Callable[[], object]]:
            mixed.append(torch.is_autocast_enabled("cpu"))
            return super().record(work)

    graphs = graphs_of(learner, Watched)
    played = Batches(learner, graphs.predict)
    for number, width in ((1, 8), (2, 8), (3, 12), (4, 12)):
        played(number, width)
    assert mixed == [False] * 4 and not graphs.reason
    one, other = graphs._recorded.values()
    assert all(first is second for first, second in zip(one._gradients, other._gradients, strict=True))


@pytest.mark.slow
def test_compiled_blocks_are_recorded_as_they_are(tmp_path: Path) -> None:
    learner, compiled = Learner(tmp_path, "flux", dtype=torch.bfloat16), Compiled()
    compiled.take(learner.network, backend="eager")
    graphs = graphs_of(learner, Again)
    played = Batches(learner, graphs.predict)
    played(1)
    before = compiled.programs
    played(2)
    played(3)
    assert graphs.shapes == 1 and not graphs.reason and before > 0
    assert compiled.programs == before


def test_where_memory_is_short_it_is_given_up_before_anything_else(base: Path, few: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path, lean_config(base, few))
    config = load_config(run.config_path)
    learner, told = Learner(tmp_path, "sd15"), list[str]()
    graphs = graphs_of(learner, Again)
    graphs.changed = lambda: told.append(graphs.reason)
    ladder = Ladder(run, config, EventWriter(run.events_path), torch.device("cpu"))
    ladder.idle.append(graphs.forget)
    ladder.spare.append(graphs.make_room)
    policy, played = ladder.policy, Batches(learner, graphs.predict)
    played(1)
    played(2)
    ladder.step_down(Shortage("training", 1))
    assert not graphs.shapes and not graphs.reason and ladder.policy == policy
    played(3)
    assert graphs.shapes == 1 and graphs.held > 0
    ladder.step_down(Shortage("training", 2))
    assert not graphs.held
    assert not graphs.shapes and graphs.reason == told[-1] == "memory ran out." and ladder.policy == policy
    played(4)
    assert not graphs.shapes
    ladder.step_down(Shortage("training", 3))
    assert ladder.policy != policy


def plain_gradients(learner: Learner, number: int) -> list[Tensor]:
    batches = Batches(learner, learner.model.predict)
    batches.clear()
    return batches(number)[1:]


@pytest.mark.parametrize(
    ("recorder", "reason"), [(Baked, "differs from plain passes by"), (Broken, "RuntimeError: operation not permitted")]
)
def test_what_cannot_be_recorded_computes_as_ever(tmp_path: Path, recorder: type[Again], reason: str) -> None:
    learner = Learner(tmp_path, "sd15")
    graphs = graphs_of(learner, recorder)
    plain, played = Batches(learner, learner.model.predict), Batches(learner, graphs.predict)
    for number in (1, 2, 3):
        wanted = plain(number)
        plain.clear()
        alike(wanted, played(number), within=0, least=0)
        played.clear()
    assert reason in graphs.reason and "\n" not in graphs.reason and not graphs.shapes


def test_samples_and_what_is_met_once_are_not_recorded(tmp_path: Path) -> None:
    learner = Learner(tmp_path, "sd15")
    graphs = graphs_of(learner, Again)
    played = Batches(learner, graphs.predict)
    played(1)
    with torch.no_grad():
        for _again in range(3):
            graphs.predict(torch.zeros(1, 4, 8, 8), torch.tensor([1]), learner.text)
    assert not graphs.shapes
    graphs.possible = lambda: False
    played(2)
    assert not graphs.shapes
    graphs.possible = lambda: True
    played(3)
    assert graphs.shapes == 1


def test_weights_that_went_elsewhere_are_recorded_anew(tmp_path: Path) -> None:
    learner, made = Learner(tmp_path, "sd15"), []

    def recorder() -> Again:
        made.append(Again())
        return made[-1]

    graphs = graphs_of(learner, recorder)
    plain, played = Batches(learner, learner.model.predict), Batches(learner, graphs.predict)
    for number in (1, 2):
        played(number)
    for tensor in played.tensors:
        tensor.data = tensor.data.clone() * 2
    played.clear()
    wanted = plain(3)
    plain.clear()
    alike(wanted, played(3))
    assert len(made) == 2 and graphs.shapes == 1


# -- in a run ----------------------------------------------------------------------------------------------------


@pytest.fixture
def stood_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CudaRecorder", Again)


def lived(root: Path, base: Path, folder: Path, **memory: Any) -> RunFolder:
    config = lean_config(
        base, folder, memory={"precision": "fp32", "threads": 1, **memory},
        steps={"epochs": 2, "batch_size": 2, "gradient_accumulation": 2},
    )  # fmt: skip
    run = new_run(root, config)
    assert live_here(run) == 0, events(run, "failed")
    return run


def close(one: dict[str, Tensor], other: dict[str, Tensor], within: float) -> None:
    assert one.keys() == other.keys()
    alike(list(one.values()), [other[name] for name in one], within=within)


def test_a_run_that_is_played_learns_what_a_plain_one_does(
    base: Path, few: Path, tmp_path: Path, stood_in: None
) -> None:
    plain = lived(tmp_path / "plain", base, few)
    played = lived(tmp_path / "played", base, few, cuda_graphs=True)
    told = events(played, "graphs")
    assert told[-1]["shapes"] > 0 and not told[-1]["reason"] and not events(played, "warning")
    assert quicker_words(read_record(plain)) == ()
    (words,) = quicker_words(read_record(played))
    assert words.startswith(f"steps played as CUDA graphs ({told[-1]['shapes']} shape")
    close(lora(plain), lora(played), within=1e-3)


def test_no_graph_of_a_batch_before_is_alive_when_one_is_predicted(
    base: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or gradients would go to nodes of the stream that it was computed in, which no recording may wait for."""
    predict, alive = Graphs.predict, []
    monkeypatch.setattr(module, "CudaRecorder", Broken)

    def watched(graphs: Graphs, *inputs: Any) -> Tensor:
        with torch.enable_grad():
            meets = gathers(graphs.parameters[0])
        alive.append("met" in meets.metadata)
        del meets
        found = predict(graphs, *inputs)
        gathers(graphs.parameters[0]).metadata["met"] = True
        return found

    monkeypatch.setattr(Graphs, "predict", watched)
    lived(tmp_path, base, few, cuda_graphs=True)
    assert len(alive) > 2 and not any(alive)


def gathers(weight: Tensor) -> Any:
    """The node that gradients of ``weight`` go to."""
    found: Any = weight.view_as(weight).grad_fn
    return found.next_functions[0][0]


def test_without_cuda_a_run_says_so_once_and_goes_on(base: Path, few: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    plain = lived(tmp_path / "plain", base, few)
    asked = lived(tmp_path / "asked", base, few, cuda_graphs=True)
    (warning,) = events(asked, "warning")
    assert warning["code"] == "graphs.failed" and "cpu has no CUDA graphs" in warning["message"]
    assert quicker_words(read_record(asked)) == ("no CUDA graphs (cpu has no CUDA graphs)",)
    assert same_tensors(lora(plain), lora(asked))


@pytest.mark.gpu
@pytest.mark.parametrize("family", ["sd15", "sdxl", "sd3", "flux"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cuda_graphs_give_what_plain_passes_give(tmp_path: Path, family: str, dtype: torch.dtype) -> None:
    learner = Learner(tmp_path, family, device=torch.device("cuda"), dtype=dtype)
    graphs = graphs_of(learner, CudaRecorder)
    plain, played = Batches(learner, learner.model.predict), Batches(learner, graphs.predict)
    band = 1e-3 if dtype == torch.float32 else 5e-2
    for number, width in ((1, 8), (2, 8), (3, 12), (4, 12), (5, 8)):
        wanted = plain(number, width)
        plain.clear()
        alike(wanted[:1], played(number, width)[:1], within=band, least=1e-3)
        played.clear()
    assert graphs.shapes == 2 and not graphs.reason, graphs.reason


def test_memory_of_recordings_is_none_for_an_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lies in torch's cache, and only what was recorded can use it."""
    stats = {"reserved_bytes.all.current": 100, "allocated_bytes.all.current": 40}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (10, 200))
    monkeypatch.setattr(torch.cuda, "memory_stats", lambda _device: stats)
    device = torch.device("cuda")
    assert has_room(device, 70) and not has_room(device, 71)
    assert has_room(device, 10, held=60) and not has_room(device, 11, held=60)


@pytest.mark.gpu
def test_what_is_recorded_says_what_it_holds() -> None:
    recorder, made = CudaRecorder(), torch.ones(1 << 20, device="cuda")
    assert recorder.held() == 0
    _found, play = recorder.record(lambda: (made * 2).sum())
    assert recorder.held() >= made.nbytes
    play()


@pytest.mark.gpu
def test_a_recording_that_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    """Not its stream as the one to work in, not its memory, and no allocator that waits for its end."""
    device = torch.device("cuda")
    recorder, waits = CudaRecorder(), torch.ones(1, device=device)

    def work() -> Tensor:
        torch.empty(64 << 20, dtype=torch.uint8, device=device)
        return waits * waits.item()  # which no recording can wait for

    torch.cuda.empty_cache()
    before, reserved = torch.cuda.current_stream(), torch.cuda.memory_reserved()
    with pytest.raises(RuntimeError):
        recorder.record(work)
    assert torch.cuda.current_stream() == before
    torch.cuda.empty_cache()
    assert torch.cuda.memory_reserved() - reserved < 64 << 20
    assert torch.randn(1, device=device).isfinite().item()
    found, play = CudaRecorder().record(lambda: waits * 2)
    waits.add_(2)
    play()
    assert found.item() == 6


@pytest.mark.gpu
def test_a_run_played_by_cuda_learns_what_a_plain_one_does(base: Path, few: Path, tmp_path: Path) -> None:
    plain = lived(tmp_path / "plain", base, few)
    played = lived(tmp_path / "played", base, few, cuda_graphs=True)
    told = events(played, "graphs")
    assert told and told[-1]["shapes"] > 0 and not told[-1]["reason"]
    close(lora(plain), lora(played), within=5e-2)
