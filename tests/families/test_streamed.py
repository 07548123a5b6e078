"""Blocks that visit the device: the same results and gradients as at home, few copies, in any order of passes."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from lora_tui.families.parted import Parted
from lora_tui.families.protocol import Storage
from lora_tui.families.quantized import quantize_linears
from lora_tui.families.stored import put, stream_of
from lora_tui.families.streamed import StreamedBlocks

CPU = torch.device("cpu")


class Block(nn.Module):
    """Two streams, as in the double blocks of FLUX: one ends before the other is done."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, inner), nn.Linear(inner, width)
        self.text = nn.Linear(width, width)
        self.register_buffer("scale", torch.rand(width) + 0.5)

    def forward(self, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        mixed = image + text.mean(dim=1, keepdim=True)
        image = image + self.second(torch.nn.functional.gelu(self.first(mixed))) * self.scale
        return image, text + self.text(text).tanh()


class Network(nn.Module):
    own: frozenset[nn.Module]
    """Its modules from before adapters were attached."""

    def __init__(self, count: int, width: int = 16) -> None:
        super().__init__()
        self.into = nn.Linear(8, width)
        self.blocks = nn.ModuleList(Block(width, width * (2 + number % 2)) for number in range(count))

    def forward(self, image: Tensor, text: Tensor, *, again: bool = True) -> Tensor:
        image, text = self.into(image), self.into(text)
        for block in self.blocks:
            if again:
                image, text = checkpoint(block, image, text, use_reentrant=False)
            else:
                image, text = block(image, text)
        return image + text.mean()


def network(count: int, *, kind: str = "", width: int = 16) -> Network:
    torch.manual_seed(0)
    made = Network(count, width).requires_grad_(False)
    if kind:
        quantize_linears(made.blocks, kind)  # type: ignore[arg-type]
    made.own = frozenset(made.modules())
    inject_adapter_in_model(LoraConfig(r=2, target_modules=["first", "second", "text"], init_lora_weights=False), made)
    return made


def step(made: Network, device: torch.device = CPU) -> tuple[Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(3)
    made.zero_grad()
    image, text = (torch.randn(2, count, 8, generator=generator).to(device) for count in (5, 3))
    given = made(image, text)
    given.square().mean().backward()
    return given.detach(), {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("slots", [2, 3])
@pytest.mark.parametrize("kind", ["", "int8"])
def test_results_and_gradients_are_those_of_blocks_at_home(count: int, slots: int, kind: str) -> None:
    wanted, gradients = step(network(count, kind=kind))
    made = network(count, kind=kind)
    stream = StreamedBlocks(made.blocks, CPU, own=made.own, slots=slots)  # type: ignore[arg-type]
    for _round in range(3):
        given, found = step(made)
        assert torch.equal(given, wanted)
        assert found.keys() == gradients.keys() and found
        assert all(torch.equal(found[name], gradients[name]) for name in gradients)
    stream.stop()
    assert torch.equal(step(made)[0], wanted) and not stream.home_bytes


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["", "int8"])
@pytest.mark.parametrize("count", [2, 9])
def test_blocks_that_visit_a_gpu_give_what_those_give_that_stay_there(count: int, kind: str) -> None:
    """Wide ones, which are long on their way: one that began too early, or arrived too early, would show.

    Steps are asked for one after the other, and nothing waits between them but for a pause.
    """
    device = torch.device("cuda", 0)
    wanted, gradients = step(network(count, kind=kind, width=2048).to(device), device)
    made = network(count, kind=kind, width=2048)
    stream = StreamedBlocks(made.blocks, device, own=made.own)  # type: ignore[arg-type]
    assert all(home.is_pinned() for home in stream._homes)
    made.to(device)
    found = []
    for number in range(6):
        if number == 3:
            stream.rest()
            stream.go_on()
        found.append(step(made, device))
    for given, own in found:
        assert torch.allclose(given, wanted, rtol=1e-4, atol=1e-4)
        assert own.keys() == gradients.keys()
        assert all(torch.allclose(own[name], gradients[name], rtol=1e-3, atol=1e-6) for name in gradients)
    stream.stop()
    assert torch.allclose(step(made.to(device), device)[0], wanted, rtol=1e-4, atol=1e-4)


def test_a_step_copies_each_block_twice_at_most() -> None:
    made = network(9)
    stream = StreamedBlocks(made.blocks, CPU, own=made.own)  # type: ignore[arg-type]
    step(made)
    before = stream.loads
    step(made)
    assert stream.loads - before <= 2 * 9


def test_passes_without_gradients_copy_each_block_once() -> None:
    made = network(6)
    stream = StreamedBlocks(made.blocks, CPU, own=made.own)  # type: ignore[arg-type]
    with torch.no_grad():
        for _image in range(4):
            made(torch.randn(1, 2, 8), torch.randn(1, 2, 8))
    assert stream.loads <= 4 * 6 + 1


def test_a_pass_that_is_broken_off_harms_no_later_one() -> None:
    wanted, gradients = step(network(5))
    made = network(5)
    StreamedBlocks(made.blocks, CPU, own=made.own)  # type: ignore[arg-type]

    def fail(_module: nn.Module, _inputs: object) -> None:
        raise RuntimeError("no memory")

    for number in (4, 0, 2):
        hook = made.blocks[number].register_forward_pre_hook(fail)
        with pytest.raises(RuntimeError, match="no memory"):
            step(made)
        hook.remove()
        given, found = step(made)
        assert torch.equal(given, wanted)
        assert all(torch.equal(found[name], gradients[name]) for name in gradients)


def test_slots_are_as_large_as_the_largest_block_and_weights_are_held_once() -> None:
    made = network(4)

    def frozen(module: nn.Module) -> int:
        return sum(
            t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers()) if not t.requires_grad
        )

    sizes = [frozen(block) for block in made.blocks]
    stream = StreamedBlocks(made.blocks, CPU, own=made.own)  # type: ignore[arg-type]
    assert 2 * max(sizes) <= stream.device_bytes <= 2 * max(sizes) * 1.5
    assert sum(sizes) <= stream.home_bytes <= sum(sizes) * 1.5


def test_moving_the_network_leaves_the_blocks_where_they_are() -> None:
    made = network(4)
    wanted, _gradients = step(made)
    stream = StreamedBlocks(made.blocks, CPU, own=made.own)  # type: ignore[arg-type]
    made.to("cpu").double().float()  # what is around the blocks, and their adapters
    assert torch.allclose(step(made)[0], wanted, atol=1e-6)
    assert all(not p.is_meta for p in made.parameters())
    stream.stop()
    made.to(torch.float64)
    assert {p.dtype for p in made.blocks.parameters()} == {torch.float64}


class Kept(Parted):
    """A model of one network, some blocks of which visit the device."""

    device = CPU

    def __init__(self, streamed: int) -> None:
        made = network(5)
        blocks = list(made.blocks)
        put(made, Storage(streamed=streamed), CPU, layers=(), blocks=blocks).requires_grad_(False)
        self.network = made

    def loaded(self) -> list[nn.Module]:
        return [self.network]


@pytest.mark.parametrize("streamed", [2, 5])
def test_a_pause_leaves_the_slots_and_what_comes_after_it_is_the_same(streamed: int) -> None:
    model = Kept(streamed)
    given = torch.randn(1, 2, 8), torch.randn(1, 2, 8)
    wanted = model.network(*given, again=False)
    stream = stream_of(model.network)
    assert stream is not None and stream.device_bytes > 0
    for _pause in range(2):
        model.park()
        model.park()  # as after coming back found no room
        assert stream.device_bytes == 0
        homes = {home.data_ptr() for home in stream._homes}
        firsts = {next(block.parameters()).untyped_storage().data_ptr() for block in stream.blocks}
        assert firsts == homes
        model.unpark()
        assert torch.equal(model.network(*given, again=False), wanted)
        assert stream.device_bytes > 0


def test_one_slot_is_refused() -> None:
    with pytest.raises(ValueError, match="1 slots"):
        StreamedBlocks([], CPU, own=[], slots=1)


def test_adapters_that_are_left_out_while_blocks_begin_to_visit_learn_on() -> None:
    """As memory runs out while an image is drawn without them: peft takes their gradients away for so long."""
    found = {}
    for way in ("at home", "visiting"):
        made = network(4)
        if way == "visiting":
            layers = [module for module in made.modules() if isinstance(module, LoraLayer)]
            for layer in layers:
                layer.enable_adapters(False)
            StreamedBlocks(made.blocks, CPU, own=made.own)  # type: ignore[arg-type]
            for layer in layers:
                layer.enable_adapters(True)
        learned = [parameter for parameter in made.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(learned, 1e-3)
        given = []
        for _step in range(3):
            given.append(step(made)[0])
            optimizer.step()
        found[way] = [*given, *(parameter.detach().clone() for parameter in learned)]
    assert all(tensor.isfinite().all() for tensor in found["at home"])
    assert not torch.equal(found["at home"][0], found["at home"][2])
    assert all(torch.equal(one, other) for one, other in zip(*found.values(), strict=True))
