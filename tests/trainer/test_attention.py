"""The kernel of attention that is asked for computes it, to the end of the run; the quickest is found and kept."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from learners import CPU, Learner, alike
from lives import events, lean_config, live_here, lora, new_run, same_tensors
from torch.utils._python_dispatch import TorchDispatchMode

from lora_tui.jobs.events import EventWriter
from lora_tui.runs.attention import ENTRY, attention_of
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.quicker import quicker_words
from lora_tui.runs.record import read_record, update_record
from lora_tui.trainer import attention as module
from lora_tui.trainer.attention import KERNELS, attending, serves
from lora_tui.trainer.memory.shortage import is_shortage

FLASH = "_scaled_dot_product_flash_attention_for_cpu"


class Calls(TorchDispatchMode):
    """Counts what is asked of torch, on the way forward and back."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[func.name().removeprefix("aten::").split(".")[0]] += 1
        return func(*args, **kwargs or {})


@pytest.mark.parametrize(
    ("family", "again"),
    [("flux", True), *(pytest.param(*one, marks=pytest.mark.slow) for one in (("flux", False), ("sd15", True)))],
)
def test_the_kernel_that_is_named_computes_all_of_it(tmp_path: Path, family: str, again: bool) -> None:
    """Also where activations are computed again; a mask of the text (SD 1.5 has none) changes nothing of it."""
    learner = Learner(tmp_path, family, again=again)
    wanted, counts = learner.learned(12), {}
    for kernel in ("flash", "math", "torch"):
        with attending(kernel), Calls() as calls:
            alike(wanted, learner.learned(12), within=2e-4, least=1e-5)
        counts[kernel] = calls.counts
    assert counts["flash"][FLASH] == counts["torch"][FLASH] > 0
    assert counts["flash"][FLASH] == counts["flash"][f"{FLASH}_backward"] * (1 + again)
    assert not counts["math"][FLASH] and counts["math"]["_safe_softmax"] > counts["flash"]["_safe_softmax"]


def test_what_a_kernel_cannot_do_is_done_by_another() -> None:
    """The order has no effect on a CPU; that others stay allowed has."""
    tokens = torch.randn(1, 2, 8, 16, requires_grad=True)
    mask = torch.zeros(8, 8, requires_grad=True)  # FlashAttention of the CPU has no gradient for it
    attention = torch.nn.functional.scaled_dot_product_attention
    for kernel in ("flash", "efficient", "cudnn"):
        with attending(kernel), Calls() as calls:
            attention(tokens, tokens, tokens, attn_mask=mask).sum().backward()
        assert mask.grad is not None and not calls.counts[FLASH]
        mask.grad = None


def test_a_device_is_asked_what_it_has() -> None:
    assert [name for name in KERNELS if serves(name, CPU, torch.float32)] == ["flash", "math"]
    assert serves("flash", CPU, torch.bfloat16)


def test_programs_of_one_kernel_are_kept_apart_from_those_of_another() -> None:
    from lora_tui.trainer.compiled import shapes_key  # a second of imports

    names = {shapes_key([])}
    for kernel in ("math", "flash", "torch"):
        with attending(kernel):
            names.add(shapes_key([]))
    assert len(names) == 3 and shapes_key([]) in names


class Watching(EventWriter):
    """Remembers which kernels were allowed at each step."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.flash: list[bool] = []

    def emit(self, kind: str, **fields: Any) -> None:
        if kind in ("step", "validation"):
            self.flash.append(torch.backends.cuda.flash_sdp_enabled())
        super().emit(kind, **fields)


def asked(root: Path, base: Path, folder: Path, kernel: str, **steps: Any) -> RunFolder:
    config = lean_config(
        base, folder, memory={"precision": "fp32", "threads": 1, "attention": kernel},
        steps={"epochs": 1, "batch_size": 4, **steps},
    )  # fmt: skip
    return new_run(root, config)


def lived(run: RunFolder, *, resume: bool = False) -> list[bool]:
    """Whether FlashAttention was allowed at each step of one life."""
    watching = Watching(run.events_path)
    assert live_here(run, resume=resume, writer=watching) == 0, events(run, "failed")
    assert torch.backends.cuda.flash_sdp_enabled()  # as before
    assert watching.flash
    return watching.flash


def longer(run: RunFolder, epochs: int, kernel: str = "") -> None:
    text = run.config_path.read_text("utf-8").replace(f"epochs = {epochs - 1}\n", f"epochs = {epochs}\n")
    text = text.replace('attention = "fastest"', f'attention = "{kernel or "fastest"}"')
    run.config_path.write_text(text, "utf-8")


def test_the_quickest_is_measured_once_and_kept_by_a_resumed_run(base: Path, few: Path, tmp_path: Path) -> None:
    run = asked(tmp_path / "runs", base, few, "fastest")
    lived(run)
    (told,) = events(run, "attention")
    assert set(told["seconds"]) == {"flash", "math"}
    assert told["kernel"] == min(told["seconds"], key=told["seconds"].__getitem__)
    found = attention_of(read_record(run))
    assert found is not None and found.kernel == told["kernel"] and "measured: " in found.sentence()
    assert quicker_words(read_record(run)) == (f"attention: {found.kernel}",)
    other = {"flash": "math", "math": "flash"}[found.kernel]
    update_record(run, **{ENTRY: {**found.as_dict(), "kernel": other}})  # as if that had been quicker then
    longer(run, 2)
    assert set(lived(run, resume=True)) == {other == "flash"}
    assert events(run, "attention")[-1]["kernel"] == other
    assert not events(run, "warning")
    longer(run, 3, "math")
    assert not any(lived(run, resume=True))
    assert [event["code"] for event in events(run, "warning")] == ["resume.settings"]
    assert events(run, "attention")[-1] | {"kernel": "math", "seconds": {}} == events(run, "attention")[-1]


def test_a_kernel_that_takes_too_much_is_not_taken(
    base: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: Counter[bool] = Counter()
    plainly = module.rehearse

    def short(*given: Any) -> None:
        flash = torch.backends.cuda.flash_sdp_enabled()
        passes[flash] += 1
        if flash:
            raise torch.OutOfMemoryError("no room")
        plainly(*given)

    monkeypatch.setattr(module, "rehearse", short)
    run = asked(tmp_path / "runs", base, few, "fastest")
    assert not any(lived(run))
    (told,) = events(run, "attention")
    assert told["kernel"] == "math" and set(told["seconds"]) == {"math"}
    assert passes == {True: 1, False: 1 + module.ROUNDS}
    assert is_shortage(torch.OutOfMemoryError("no room")) and not events(run, "warning")


def test_a_kernel_that_is_not_there_is_told_and_torch_chooses(base: Path, few: Path, tmp_path: Path) -> None:
    plain, cudnn = asked(tmp_path / "plain", base, few, "torch"), asked(tmp_path / "cudnn", base, few, "cudnn")
    assert all([*lived(plain), *lived(cudnn)])
    (warning,) = events(cudnn, "warning")
    assert warning["code"] == "attention.missing" and "cudnn for fp32" in warning["message"] and warning["remedy"]
    assert [event["kernel"] for event in events(cudnn, "attention")] == ["torch"] and not events(plain, "attention")
    assert quicker_words(read_record(cudnn)) == ("attention as torch chooses",)
    assert same_tensors(lora(plain), lora(cudnn))


@pytest.mark.gpu
@pytest.mark.parametrize("family", ["sd15", "sdxl", "sd3", "flux"])
@pytest.mark.parametrize("kernel", ["flash", "efficient", "cudnn"])
def test_kernels_of_a_gpu_give_what_plain_products_give(tmp_path: Path, family: str, kernel: str) -> None:
    device = torch.device("cuda")
    assert serves(kernel, device, torch.bfloat16), "not on this card"
    learner = Learner(tmp_path, family, device=device, dtype=torch.bfloat16, again=True)
    with attending("math"):
        wanted = learner.learned(12)
    with attending(kernel):
        found = learner.learned(12)
    alike(wanted[:1], found[:1], within=5e-2, least=1e-3)
    whole = torch.cat([tensor.flatten() for tensor in wanted[1:]])
    alike([whole], [torch.cat([tensor.flatten() for tensor in found[1:]])], within=1e-1)
