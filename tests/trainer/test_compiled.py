"""Compiled blocks give what plain ones give; what cannot be compiled computes as ever."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from learners import CPU, Learner, alike
from lives import events, live_here, lora, micro_config, new_run, same_tensors
from torch import Tensor, nn
from torch._dynamo.utils import counters

from lora_tui.bench.flux_model import MICRO, write_flux_model
from lora_tui.caches.inventory import COMPILED, KINDS, compiled_folders, inventory, prune
from lora_tui.config.schema import Config, NetworkSection
from lora_tui.families import eight_bits
from lora_tui.families.protocol import TargetModule
from lora_tui.families.quantized import multiply_in_eight_bits, quantize_linears
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.quicker import quicker_words
from lora_tui.runs.record import read_record
from lora_tui.settings import cache_dir
from lora_tui.trainer.adapters.kinds import attach
from lora_tui.trainer.compiled import Compiled, prepare_compiler
from lora_tui.weights.kinds import LYCORIS

FEW = replace(MICRO, double=1, single=1)


@pytest.fixture(autouse=True)
def anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test counts from nothing, and keeps what it compiles in a folder of its own."""
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, "")  # restored afterwards
    torch._dynamo.reset()
    counters.clear()
    prepare_compiler(tmp_path / "compiled" / "test")


def no_compiler(*_anything: Any, **_named: Any) -> Any:
    raise AssertionError("no compiler is here\nand more of it")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "base", "again", "dropout", "most"),
    [
        ("flux", "int8", False, 0.0, 3),
        ("flux", "nf4", True, 0.5, 3),
        ("sd3", "fp8", True, 0.0, 3),
        ("sd15", "full", True, 0.0, 20),
    ],
)
def test_blocks_of_each_kind_are_traced_once_for_all_alike(
    tmp_path: Path, family: str, base: str, again: bool, dropout: float, most: int
) -> None:
    """Without a break, with the LoRA in them; no other shape, and no picture that is drawn, asks for more."""
    learner = Learner(tmp_path, family, base=base, again=again, dropout=dropout)
    plain = [learner.learned(width) for width in (8, 12, 16)]
    with torch.no_grad():
        drawn = learner.predicted()
    compiled = Compiled()
    assert compiled.take(learner.network, backend="eager") > 2
    alike(plain[0], learner.learned(8))
    alike(plain[1], learner.learned(12))
    assert not counters["graph_break"] and not compiled.reason
    programs = compiled.programs
    assert 0 < programs <= most and compiled.seconds > 0  # the first block of a row takes what needs no gradient
    alike(plain[2], learner.learned(16))
    with torch.no_grad():
        assert torch.equal(drawn, learner.predicted())
    assert compiled.programs == programs


class JointTransformerBlock(nn.Module):
    """The least that is called a block: a layer of the base with a LoRA of random numbers."""

    def __init__(self, base: str, **network: Any) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 16)
        self.requires_grad_(False)
        if base != "full":
            quantize_linears(self, base)  # type: ignore[arg-type]
        targets = (TargetModule("unet", "layer", 16, 16),)
        adapter = attach(NetworkSection(rank=4, alpha=2.0, **network), {"unet": self}, targets, seed=1, device=CPU)
        for tensor in adapter.tensors().values():
            nn.init.normal_(tensor)

    def forward(self, x: Tensor) -> Tensor:
        return x + nn.functional.gelu(self.layer(x))


def least(base: str = "full", **network: Any) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(*(JointTransformerBlock(base, **network) for _block in range(4)))


def went_through(network: nn.Sequential, tokens: int = 6) -> list[Tensor]:
    """What comes out, and all gradients."""
    network.zero_grad()
    found = network(torch.linspace(-1, 1, 2 * tokens * 16).view(2, tokens, 16))
    found.square().sum().backward()
    return [found.detach(), *(weight.grad for weight in network.parameters() if weight.grad is not None)]


@pytest.mark.parametrize(
    ("base", "network"),
    [
        ("nf4", {}),
        pytest.param("full", {}, marks=pytest.mark.slow),
        *(pytest.param("full", {"type": kind}, marks=pytest.mark.slow) for kind in sorted(LYCORIS)),
        *(pytest.param(base, {"dora": True}, marks=pytest.mark.slow) for base in ("full", "int8", "fp8")),
    ],
)
def test_what_is_alike_is_traced_once_with_its_lora(base: str, network: dict[str, Any]) -> None:
    """The first block has a program of its own, as nothing before it needs a gradient; all others share one."""
    blocks, compiled = least(base, **network), Compiled()
    plain = [went_through(blocks, tokens) for tokens in (6, 9)]
    assert compiled.take(blocks, backend="aot_eager") == 4
    for wanted, tokens in zip(plain, (6, 9), strict=True):
        alike(wanted, went_through(blocks, tokens))
    assert compiled.programs == 2 and not counters["graph_break"] and not compiled.reason
    with torch.no_grad():
        blocks(torch.zeros(1, 1, 16))
    assert compiled.programs == 2


def test_products_in_fp8_are_compiled_whatever_was_computed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which kernel the device has is tried once: not where the compiler looks on, which then gives up."""
    monkeypatch.setattr(eight_bits, "_scales_rows", {})
    blocks, compiled = least("fp8"), Compiled()
    multiply_in_eight_bits(blocks, True)
    compiled.take(blocks, backend="eager")
    went_through(blocks)
    assert compiled.programs == 2 and not counters["graph_break"] and not compiled.reason


def test_what_cannot_be_compiled_computes_as_ever() -> None:
    network, compiled = least(), Compiled()
    plain = went_through(network)
    compiled.take(network, backend=no_compiler)
    alike(plain, went_through(network), within=0)
    assert "no compiler is here" in compiled.reason


def test_shortage_of_memory_is_no_failure_of_the_compiler() -> None:
    def short(_graph: Any, _inputs: Any) -> Any:
        raise torch.OutOfMemoryError("full")

    network, compiled = least(), Compiled()
    compiled.take(network, backend=short)
    with pytest.raises(torch.OutOfMemoryError, match="full"):
        went_through(network)
    assert not compiled.reason


def test_blocks_that_visit_the_device_are_left() -> None:
    network, compiled = least(), Compiled()
    assert compiled.take(network) == compiled.take(network) == 4
    assert compiled.take(network, leave=[network[1]]) == 3
    assert ["forward" in block.__dict__ for block in network] == [True, False, True, True]
    assert compiled.take(network) == 4


# -- in a run ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def flux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flux_model(tmp_path_factory.mktemp("model") / "flux", shape=FEW)


@pytest.fixture(scope="session")
def plain(flux: Path, few: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run without anything compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_TUI_HOME", str(tmp_path_factory.mktemp("home")))
        return lived(tmp_path_factory.mktemp("runs"), flux_config(flux, few))


def flux_config(base: Path, folder: Path, **memory: Any) -> Config:
    """Two sizes of images."""
    return micro_config(
        base, folder, model={"family": "flux"}, memory=memory,
        data={"resolution": 96, "bucket_max": 160, "bucket_step": 16},
        captions={"t5_tokens": 128}, network={"text_encoder": False}, samples=[],
        steps={"epochs": 2, "batch_size": 2}, validation={"mode": "off"},
        saving={"name": "blob", "state_every_steps": 3, "state_every_epochs": 0, "keep_states": 9},
    )  # fmt: skip


def lived(root: Path, config: Config) -> RunFolder:
    run = new_run(root, config)
    assert live_here(run) == 0, events(run, "failed")
    return run


def test_passes_for_each_shape_before_the_first_step_change_nothing(
    plain: RunFolder, flux: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def compiler(block: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        asked.append(options)
        return block

    monkeypatch.setattr(torch, "compile", compiler)
    run = lived(tmp_path / "runs", flux_config(flux, few, compile=True))
    assert [options["backend"] for options in asked] == ["inductor"] * 2
    (told,) = events(run, "compiled")
    assert told["shapes"] == 2 and told["programs"] == 0 and not told["reason"]
    assert same_tensors(lora(plain), lora(run))


def test_what_a_living_run_compiled_stays_and_the_oldest_of_others_makes_room(
    flux: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = next(one for one in KINDS if one.name == COMPILED)
    for name in ("old", "older"):
        with compiled_folders().in_use(name) as folder:
            (folder / "program").write_bytes(b"x" * 10)
    os.utime(cache_dir() / COMPILED / "older" / ".lock", (0, 0))
    monkeypatch.setattr("lora_tui.caches.inventory.COMPILED_CAP", 10)
    seen: list[tuple[set[str], bool]] = []

    def compiler(block: Callable[..., Any], **_options: Any) -> Callable[..., Any]:
        place = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
        (place / "program").write_bytes(b"x")
        names = {path.name for path in place.parent.iterdir()} - {place.name}
        prune([kind], dry=False)  # as a person asks for it
        seen.append((names, (place / "program").exists()))
        return block

    monkeypatch.setattr(torch, "compile", compiler)
    lived(tmp_path / "runs", flux_config(flux, few, compile=True))
    assert seen == [({"old"}, True), (set(), True)]
    assert [one.size for one in prune([kind], dry=False)] == [1], "once it has ended, it may go"
    assert not list((cache_dir() / COMPILED).iterdir())


@pytest.mark.parametrize("where", [pytest.param("forward", marks=pytest.mark.slow), "back"])
def test_a_run_goes_on_where_the_compiler_fails(
    where: str, plain: RunFolder, flux: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    class Back(torch.autograd.Function):
        @staticmethod
        def forward(_ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        backward = staticmethod(no_compiler)

    def compiler(block: Callable[..., Any], **_options: Any) -> Callable[..., Any]:
        def compiled(*args: Any, **named: Any) -> Any:
            return tuple(map(Back.apply, block(*args, **named)))

        return compiled if where == "back" else no_compiler

    monkeypatch.setattr(torch, "compile", compiler)
    run = lived(tmp_path / "runs", flux_config(flux, few, compile=True))
    warnings = [event["message"] for event in events(run, "warning") if event["code"] == "compile.failed"]
    assert len(warnings) == 1 and warnings[0].endswith("AssertionError: no compiler is here")
    assert [event["reason"] for event in events(run, "compiled")] == ["AssertionError: no compiler is here"]
    assert same_tensors(lora(plain), lora(run))


def test_what_is_not_alike_in_all_blocks_is_not_compiled(flux: Path, few: Path, tmp_path: Path) -> None:
    config = flux_config(flux, few, compile=True)
    config = config.model_copy(update={"network": config.network.model_copy(update={"module_dropout": 0.5})})
    run = lived(tmp_path / "runs", config)
    assert [event["code"] for event in events(run, "warning")] == ["compile.failed"]
    assert not events(run, "compiled")
    (words,) = quicker_words(read_record(run))
    assert words.startswith("blocks not compiled (")


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_compiled_run_resumes_to_the_same_bits(plain: RunFolder, flux: Path, few: Path, tmp_path: Path) -> None:
    """Also where the first life's programs are not in the cache any more; losses are those of a plain run."""
    whole = lived(tmp_path / "runs", flux_config(flux, few, compile=True))
    (told,) = events(whole, "compiled")
    assert told["programs"] > 1 and not told["reason"]
    final = lora(whole)
    assert "compiled" in {one.kind.name for one in inventory()}
    for name in ("fxgraph", "aotautograd"):  # all is written anew; what g++ made of the same lines stays
        for kept in list((cache_dir() / COMPILED).rglob(name)):
            shutil.rmtree(kept)
    for state in sorted(whole.state_dir.iterdir())[1:]:
        shutil.rmtree(state)  # killed after the third step
    (whole.checkpoints_dir / "blob.safetensors").unlink()
    torch._dynamo.reset()
    counters.clear()
    assert live_here(whole, resume=True) == 0
    assert [event["step"] for event in events(whole, "resumed")] == [3]
    assert [event["programs"] for event in events(whole, "compiled")] == [told["programs"]] * 2
    assert same_tensors(final, lora(whole))
    losses = [[event["loss"] for event in events(run, "step")] for run in (plain, whole)]
    assert losses[1][: len(losses[0])] == pytest.approx(losses[0], rel=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("family", "base", "again"), [("flux", "int8", True), ("sd15", "full", False)])
def test_machine_code_gives_the_same(tmp_path: Path, family: str, base: str, again: bool) -> None:
    torch.set_num_threads(1)  # with more, sums of a compiled UNet come out in another order each time
    learner = Learner(tmp_path, family, base=base, again=again)
    plain, compiled = learner.learned(), Compiled()
    compiled.take(learner.network)
    first = learner.learned()
    assert not compiled.reason and compiled.programs > 0
    alike(plain, first, within=2e-3, least=1e-5 * max(float(one.norm()) for one in plain))  # rounding, in deep layers
    alike(learner.learned(), learner.learned(), within=0)  # while programs are made, those before serve some of it


@pytest.mark.gpu
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("family", ["flux", "sd15"])
@pytest.mark.parametrize("base", ["full", "fp8"])
def test_on_a_gpu_it_gives_the_same(tmp_path: Path, family: str, base: str) -> None:
    learner = Learner(tmp_path, family, base=base, device=torch.device("cuda"), dtype=torch.bfloat16)
    plain, compiled = learner.learned(), Compiled()
    compiled.take(learner.network)
    got = learner.learned()
    assert not compiled.reason and compiled.programs > 0
    alike(plain, got, within=0.05)
