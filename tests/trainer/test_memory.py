"""Runs whose memory runs out go on with less, and learn the same."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lives import LAST_LEVEL, draw_dataset, events, live_here, lora, micro_config, new_run
from PIL import Image
from squeeze import Limit, small_machine, watching
from torch import Tensor, nn

from lora_tui.bench.flux_model import MICRO, write_flux_model
from lora_tui.config.load import dump_config
from lora_tui.config.schema import CaptionSection, ModelSection, NetworkSection
from lora_tui.errors import UserError
from lora_tui.families import open_model, stored
from lora_tui.families.protocol import Storage
from lora_tui.families.quantized import QuantizedLinear
from lora_tui.families.unet.model import UnetModel
from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.memory_policy import Policy, reached_by
from lora_tui.trainer.adapters.lora import attach
from lora_tui.trainer.memory import fitting
from lora_tui.trainer.memory.ladder import Ladder, NoRungLeft
from lora_tui.trainer.memory.rungs import LADDERS, Place, Scene, next_rung
from lora_tui.trainer.memory.shortage import is_shortage
from lora_tui.trainer.memory.undo import Undo
from lora_tui.trainer.optim.average import Average
from lora_tui.trainer.optim.stepper import Stepper
from lora_tui.trainer.trainee import Trainee

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def quick_collections() -> Iterator[None]:
    """Let a shortage look for garbage among what the test has made alone, not in all libraries."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def flux(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("flux")
    return write_flux_model(root / "model"), draw_dataset(root / "pictures", 4)


def flux_run(root: Path, flux: tuple[Path, Path], **sections: Any) -> RunFolder:
    """A run of FLUX whose steps are all of one size: a batch of four images each."""
    settings: dict[str, Any] = {
        "model": {"family": "flux"},
        "captions": {"t5_tokens": 128},
        "data": {"bucket_step": 16, "buckets": False},
        "network": {"text_encoder": False, "dropout": 0.1, "rank_dropout": 0.1},
        "learning": {"ema_decay": 0.9, "schedule": "constant"},
        "steps": {"epochs": 9},
        "saving": {"every_epochs": 0, "state_every_epochs": 0},
        "samples": [],
    }
    return new_run(root, micro_config(*flux, **{**settings, **sections}))


def losses(run: RunFolder) -> list[float]:
    return [event["loss"] for event in events(run, "step")]


def squeezed(run: RunFolder, until: int) -> int:
    """Run with a limit just under what the last step took, from the first to step ``until``; the exit status."""
    limit, writer = Limit(), EventWriter(run.events_path)

    def tighten(kind: str, fields: dict[str, Any]) -> None:
        if kind == "step" and fields["step"] <= until:
            limit.allowed, limit.peak = int(limit.peak * 0.97), 0
        elif kind == "warning":  # what the try took that failed is not what the step takes
            limit.peak = 0

    writer.emit = watching(writer.emit, tighten)  # type: ignore[method-assign]
    with small_machine(limit, own_memory=True):
        return live_here(run, writer=writer)


def test_a_run_that_is_squeezed_learns_the_same(tmp_path: Path, flux: tuple[Path, Path]) -> None:
    """Down the whole ladder, rung by rung, and over a resume: the losses of a run with room, within rounding."""
    free = flux_run(tmp_path / "free", flux)
    assert live_here(free) == 0
    run = flux_run(tmp_path / "squeezed", flux, steps={"epochs": 7})
    assert squeezed(run, 5) == 0
    told = [event for event in events(run, "warning") if event["code"] == "memory.ladder"]
    taken = [event["policy"] for event in told if "policy" in event]
    assert [policy["checkpointed"] for policy in taken][:2] == [0.5, 1.0]
    assert [policy["images"] for policy in taken][1:4] == [0, 2, 1]
    assert taken[-1] == Policy(1.0, images=1, streamed=MICRO.double + MICRO.single).as_dict()
    assert told[1]["message"].startswith("memory ran out in step")
    assert losses(run) == pytest.approx(losses(free)[:7], rel=1e-5)

    reached = reached_by(run)
    assert reached is not None and reached.asked == Policy() and reached.used.as_dict() == taken[-1]
    assert "all blocks compute their activations again" in reached.sentence()
    longer = flux_run(tmp_path / "other", flux)
    run.config_path.write_text(longer.config_path.read_text())
    assert live_here(run, resume=True) == 0
    assert losses(run) == pytest.approx(losses(free), rel=1e-5)
    assert all((lora(run)[name] - tensor).abs().max() < 1e-4 for name, tensor in lora(free).items())
    assert reached_by(run) == reached  # it began with what it had come to


# -- the rungs ---------------------------------------------------------------------------------------------------


GPU = Scene(batch=4, blocks=57, parts_move=True, encodes=True, may_pack=True)


def way_down(place: Place, scene: Scene) -> list[Policy]:
    found = [Policy()]
    while (policy := next_rung(found[-1], place, scene)) is not None:
        found.append(policy)
    return found[1:]


def test_the_rungs_of_a_step_from_what_costs_least_to_what_costs_most() -> None:
    again = Policy(checkpointed=1.0)
    streamed = replace(again, images=1, vae_aside=True, streamed=57)
    assert way_down("training", GPU) == [
        Policy(checkpointed=0.5),
        again,
        replace(again, images=2),
        replace(again, images=1),
        replace(again, images=1, vae_aside=True),
        replace(streamed, streamed=29),
        streamed,
        replace(streamed, weights="fp8"),
    ]
    on_cpu = way_down("training", Scene(batch=3))
    assert [policy.images for policy in on_cpu] == [0, 0, 2, 1]


def test_streamed_blocks_are_always_computed_again() -> None:
    for place in LADDERS:
        for policy in way_down(place, GPU):
            assert policy.checkpointed == 1.0 or not policy.streamed


@pytest.mark.parametrize("place", LADDERS)
def test_every_place_has_an_end_and_the_base_is_packed_only_where_that_is_allowed(place: Place) -> None:
    assert all(policy.weights == "full" for policy in way_down(place, replace(GPU, may_pack=False)))
    assert len(way_down(place, GPU)) <= 8


# -- the ladder --------------------------------------------------------------------------------------------------


@pytest.fixture
def ladder(tmp_path: Path, flux: tuple[Path, Path]) -> Callable[..., Ladder]:
    def made(**memory: Any) -> Ladder:
        config = micro_config(*flux, model={"family": "flux"}, memory=memory)
        run = RunFolder.create(tmp_path, "run", dump_config(config), {})
        found = Ladder(run, config, EventWriter(run.events_path), CPU)
        found.scene = GPU
        return found

    return made


def out_of_memory() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_work_is_done_again_until_it_fits(ladder: Callable[..., Ladder]) -> None:
    one, told = ladder(), []
    one.changed.append(told.append)

    def work() -> str:
        told.append("work")
        if not one.policy.tiled:
            out_of_memory()
        return "done"

    assert one.attempt("decoding", work, drop=lambda: told.append("drop"), again=lambda: told.append("again")) == "done"
    tiled = Policy(tiled=True)
    assert told == ["work", "drop", "again", "work", "drop", tiled, "again", "work"]
    record = json.loads(one.folder.record_path.read_text())["memory_policy"]
    assert record["used"] == tiled.as_dict() and record["asked"] == Policy().as_dict()
    first, second = events(one.folder, "warning")
    assert "What nothing uses any more is given back." in first["message"] and "policy" not in first
    assert "images are decoded in strips" in second["message"] and second["policy"] == tiled.as_dict()


def test_a_rung_that_runs_out_of_memory_itself_leads_to_the_next(ladder: Callable[..., Ladder]) -> None:
    one = ladder()

    def change(policy: Policy) -> None:
        if policy.streamed == 29:
            out_of_memory()

    one.changed.append(change)
    one.attempt("loading", lambda: None if one.policy.streamed == 57 else out_of_memory())
    assert one.policy == Policy(checkpointed=1.0, streamed=57)


def test_without_a_rung_left_the_reason_names_what_to_do(ladder: Callable[..., Ladder]) -> None:
    with pytest.raises(NoRungLeft) as caught:
        ladder().attempt("saving", out_of_memory)
    assert caught.value.code == "gpu.memory"
    assert "memory.base_weights to fp8 or memory.when_full to pack" in caught.value.remedy
    with pytest.raises(NoRungLeft) as caught:
        ladder(when_full="pack", base_weights="fp8").attempt("saving", out_of_memory)
    assert "memory.base_weights to nf4" in caught.value.remedy and "data.resolution" in caught.value.remedy


def test_it_can_be_turned_off_and_takes_no_other_error_for_its_own(ladder: Callable[..., Ladder]) -> None:
    with pytest.raises(torch.OutOfMemoryError):
        ladder(when_full="stop").attempt("training", out_of_memory)

    def broken() -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes"):
        ladder().attempt("training", broken)
    assert is_shortage(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"))
    assert is_shortage(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 8 bytes"))


def test_a_resumed_run_begins_anew_when_its_settings_changed(ladder: Callable[..., Ladder]) -> None:
    one = ladder()
    one.attempt("decoding", lambda: None if one.policy.tiled else out_of_memory())
    same = Ladder(one.folder, one.config, one.events, CPU)
    same.take_up()
    assert same.policy == Policy(tiled=True)
    memory = one.config.memory.model_copy(update={"gradient_checkpointing": True})
    other = Ladder(one.folder, one.config.model_copy(update={"memory": memory}), one.events, CPU)
    other.take_up()
    assert other.policy == Policy(checkpointed=1.0)


def test_a_resumed_run_goes_on_where_a_record_from_before_batches_were_encoded_left_it(
    ladder: Callable[..., Ladder],
) -> None:
    one = ladder()
    one.attempt("decoding", lambda: None if one.policy.tiled else out_of_memory())
    entry = json.loads(one.folder.record_path.read_text())["memory_policy"]
    older = {"checkpointed", "images", "apart", "tiled", "vae_aside", "text_aside", "streamed", "weights"}
    assert set(entry["settings"][0]) == set(entry["used"]) == older
    same = Ladder(one.folder, one.config, one.events, CPU)
    same.take_up()
    assert same.policy == Policy(tiled=True)


def test_captions_that_do_not_fit_leave_the_latents_as_they_are(ladder: Callable[..., Ladder]) -> None:
    """Fewer images at once are other latents, and a run that is resumed would learn from these."""
    one = ladder(cache_batch=8)
    one.scene = replace(one.scene, reads_together=True)
    one.attempt("texts", lambda: None if one.policy.captions == 2 else out_of_memory())
    same = Ladder(one.folder, one.config, one.events, CPU)
    same.take_up()
    assert (same.policy.encoded, same.policy.captions) == (8, 2)
    apart = ladder(cache_batch=8)  # where each caption has its own length, fewer of them change nothing
    with pytest.raises(NoRungLeft):
        apart.attempt("texts", out_of_memory)
    assert apart.policy.captions == 8


# -- a step that is done again -----------------------------------------------------------------------------------


def small_trainee(kind: str) -> tuple[Trainee, nn.Module]:
    import schedulefree

    torch.manual_seed(3)
    module = nn.Linear(64, 64)
    optimizers: dict[str, Callable[..., Any]] = {
        "adamw": torch.optim.AdamW,
        "prodigy-like": torch.optim.Adagrad,
        "schedule-free": schedulefree.AdamWScheduleFree,
    }
    tensors = dict(module.named_parameters())

    class Adapter:
        section = None

        def tensors(self) -> dict[str, Tensor]:
            return tensors

        def settle(self) -> None:
            module.weight.data.mul_(0.999)

    optimizer = optimizers[kind](module.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0) if kind == "adamw" else None
    adapter: Any = Adapter()
    return Trainee(object(), adapter, Stepper(optimizer, 1.0, scaler), Average(tensors, 0.9)), module  # type: ignore[arg-type]


def take_update(trainee: Trainee, module: nn.Module, step: int, undo: Undo | None = None) -> None:
    data = torch.randn(8, 64, generator=torch.Generator().manual_seed(step))
    trainee.stepper.backward((module(data) ** 2).mean() + torch.rand(()) * module.weight.mean())
    if undo:
        undo.begin()
    trainee.stepper.update()
    trainee.settle(step)


@pytest.mark.parametrize("kind", ["adamw", "prodigy-like", "schedule-free"])
@pytest.mark.parametrize("failing", [1, 3])
def test_an_update_that_memory_ran_out_in_leaves_no_trace(kind: str, failing: int) -> None:
    """Wherever in the optimizer's step it is: weights, moments, average, scale and random numbers are as before."""
    wanted: list[Tensor] = []
    for tried in range(24):
        trainee, module = small_trainee(kind)
        torch.manual_seed(1)
        for step in range(1, 5):
            undo = Undo(trainee, CPU, risky=True)
            if step == failing and tried:
                limit = Limit()
                with pytest.raises(torch.OutOfMemoryError), limit:
                    data = torch.randn(8, 64, generator=torch.Generator().manual_seed(step))
                    loss = (module(data) ** 2).mean() + torch.rand(()) * module.weight.mean()
                    trainee.stepper.backward(loss)
                    undo.begin()
                    limit.after = tried
                    trainee.stepper.update()
                    trainee.settle(step)
                    limit.after = None
                    out_of_memory()  # beyond the last operation: all is done, and taken back
                undo.drop()
                undo.back()
            take_update(trainee, module, step)
        found = [t.detach().clone() for t in (*module.parameters(), *trainee.learned().average.values())]
        wanted = wanted or found
        assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True)), tried


def test_without_a_copy_a_broken_update_ends_the_run_to_be_resumed() -> None:
    trainee, module = small_trainee("adamw")
    undo = Undo(trainee, CPU, risky=False)
    take_update(trainee, module, 1, undo)
    with pytest.raises(UserError, match="while the weights were changed") as caught:
        undo.back()
    assert "Resume" in caught.value.remedy


# -- a base that is kept in another way while adapters learn on it -----------------------------------------------


def test_a_base_is_packed_and_streamed_with_adapters_on_it(flux: tuple[Path, Path]) -> None:
    """What it predicts then is what a base predicts that was put there so from the beginning, adapters included."""
    section, network = ModelSection(base=str(flux[0]), family="flux"), NetworkSection(rank=2)

    def opened(storage: Storage) -> Any:
        model: Any = open_model(section, CaptionSection(), device=CPU, dtype=torch.float32, storage=storage)
        targets = model.targets(text_encoder=False)
        adapter = attach(network, model.adapted_modules(text_encoder=False), targets, seed=1, device=CPU)
        generator = torch.Generator().manual_seed(4)
        for name, tensor in adapter.tensors().items():
            if name.endswith("lora_B"):
                tensor.data.normal_(generator=generator)
        return model

    def predicted(model: Any) -> Tensor:
        text = model.encode_text(model.tokenize(["a cat"], 128)) | {"guidance": torch.ones(1)}
        noisy = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            return model.predict(noisy, torch.tensor([500]), text)

    model, layers = opened(Storage()), {target.path for target in opened(Storage()).targets(text_encoder=False)}
    plain = predicted(model)
    for storage in (
        Storage(streamed=2),
        Storage(streamed=99),
        Storage("int8", 99),
        Storage("int8", 1),
        Storage("int8"),
    ):
        model.keep(storage)
        wanted = predicted(opened(storage))
        assert torch.allclose(predicted(model), wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max())), storage
        assert torch.allclose(wanted, plain, atol=1e-5) == (storage.weights == "full")
    packed = {name for name, one in model.transformer.named_modules() if isinstance(one, QuantizedLinear)}
    assert packed == {f"{layer}.base_layer" for layer in layers}


# -- every other place -------------------------------------------------------------------------------------------


def test_memory_may_run_out_anywhere(
    base: Path, flux: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While captions and images are encoded, the base is loaded, samples are drawn and decoded, and images measured."""
    changes: dict[str, Any] = {
        "network": {"text_encoder": False},
        "steps": {"epochs": 1, "batch_size": 2},
        "validation": {"mode": "on", "share": 0.25, "every_steps": 1},
        "sampling": {"at_start": False, "every_epochs": 1},
    }
    free = new_run(tmp_path / "free", micro_config(base, flux[1], **changes))
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "one"))
    assert live_here(free) == 0

    def short_of(owner: Any, name: str, fits: Callable[..., bool]) -> None:
        work = getattr(owner, name)

        def limited(*args: Any, **named: Any) -> Any:
            return work(*args, **named) if fits(*args) else out_of_memory()

        monkeypatch.setattr(owner, name, limited)

    short_of(UnetModel, "encode_text", lambda model, _tokens: "text_encoders" in model.aside)
    short_of(UnetModel, "encode_image", lambda model, *_images: "vae" in model.aside)
    short_of(stored, "put_anew", lambda _network, storage, _device: storage.streamed > 8)
    short_of(UnetModel, "predict", lambda _model, noisy, *_told: torch.is_grad_enabled() or len(noisy) == 1)
    short_of(UnetModel, "decode_latents", lambda model, _latents: model.tiled)
    monkeypatch.setattr(fitting, "has_own_memory", lambda _device: True)
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "other"))
    run = new_run(tmp_path / "short", micro_config(base, flux[1], memory={"cache_batch": 2}, **changes))
    assert live_here(run) == 0, events(run, "failed")
    places = [event["place"] for event in events(run, "warning") if "policy" in event]
    assert places == ["latents", "latents", "texts", "texts", "loading", "loading", "validation", "decoding"]
    reached = reached_by(run)
    assert reached is not None
    assert reached.used == Policy(1.0, apart=True, tiled=True, vae_aside=True, text_aside=True, streamed=16)
    assert losses(run) == pytest.approx(losses(free), rel=1e-5)
    measured = [[event["loss"] for event in events(one, "validation")] for one in (run, free)]
    assert measured[0] == pytest.approx(measured[1], rel=1e-5)
    pictures = [np.asarray(Image.open(next(one.samples_dir.glob("*.png"))), dtype=int) for one in (run, free)]
    assert abs(pictures[0] - pictures[1]).max() <= 1


def test_a_sample_that_fits_in_no_way_is_left_out_and_the_run_goes_on(
    base: Path, flux: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UnetModel, "decode_latents", lambda _model, _latents: out_of_memory())
    changes: dict[str, Any] = {"network": LAST_LEVEL, "validation": {"mode": "off"}, "steps": {"epochs": 1}}
    run = new_run(tmp_path, micro_config(base, flux[1], **changes))
    assert live_here(run) == 0
    assert not list(run.samples_dir.glob("*.png")) and lora(run)
    assert "sample 1 is left out" in next(e for e in events(run, "warning") if e["code"] == "sample.memory")["message"]
