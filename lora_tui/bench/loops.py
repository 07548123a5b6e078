"""The two training loops that are compared: the trainer itself, and the one that one would write by hand.

The bare loop has cached latents and text (or token ids, where the text encoder is trained) on the device, noise and
timesteps from torch's own generator, forward, squared error, backward, clip, fused AdamW. Nothing of its own
waits for the device.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lora_tui.bench import flow_loop
from lora_tui.bench.alike import Passes
from lora_tui.families import facts_for
from lora_tui.families.unet.shape import Shape

if TYPE_CHECKING:
    from lora_tui.runs.folder import RunFolder
    from lora_tui.trainer.data.prepared import Prepared
    from lora_tui.trainer.material import Material
    from lora_tui.trainer.trainee import Trainee

IMAGES = 16
CAPTION = "noise, grey"
TEXT_RATE = 1e-5
SMALL = (64, 128, 256, 256)
"""UNet widths of the ``small`` model: large enough that a step is arithmetic, small enough for a CPU."""


UNET_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")
"""Suffixes of the UNet's layers that peft is told to adapt: those of the transformers."""
TEXT_ENCODER_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
"""The same for the text encoder."""


@dataclass(frozen=True)
class Setup:
    """What both loops train.

    Attributes:
        family: whose topology the model has.
        size: ``micro``, ``small`` or ``full``: that of the published UNet.
        side: of the images in px.
        precision: arithmetic of the base, ``fp32`` or ``bf16``.
        text_encoder: whether it is trained, too; otherwise its embeddings are cached.
        folder: where model, images and runs are made.
        checkpointing: all blocks compute their activations again.
        compile: whether our loop compiles its blocks.
        graphs: whether it plays its steps as CUDA graphs.
        channels_last: whether the convolutions of our UNet are laid out so.
        attention: which kernel computes it in our loop; in the bare one it is as torch chooses.
        base_weights, streamed, products: how our loop keeps and multiplies the base; the bare one has it whole on the
            device.
    """

    family: str
    size: str
    side: int
    batch_size: int
    rank: int
    precision: str
    text_encoder: bool
    folder: Path
    checkpointing: bool = False
    base_weights: str = "full"
    streamed: int = 0
    products: str = "full"
    compile: bool = False
    graphs: bool = False
    channels_last: bool = False
    attention: str = "torch"

    def model(self) -> Path:
        """The base model, made when it is not there yet."""
        from lora_tui.bench.model import write_model

        place = self.folder / "base"
        if place.exists():
            return place
        if self.family in flow_loop.FAMILIES:
            return flow_loop.written(self.family, place, self.size, half=self.precision == "bf16")
        schedule = {"prediction_type": "epsilon"}
        return write_model(place, seed=0, family=self.family, shape=_shape(self), schedule=schedule)

    def images(self) -> Path:
        """A folder of images of noise with a caption each."""
        from PIL import Image

        place = self.folder / "images"
        place.mkdir(exist_ok=True)
        for number in range(IMAGES):
            image = Image.effect_noise((self.side, self.side), 50 + number).convert("RGB")
            image.save(place / f"{number:02}.png")
            (place / f"{number:02}.txt").write_text(CAPTION, "utf-8")
        return place


def _shape(setup: Setup) -> Shape:
    from lora_tui.bench.model import micro_shape
    from lora_tui.families.unet.facts import UnetFacts

    shape, facts = micro_shape(setup.family), facts_for(setup.family)
    assert isinstance(facts, UnetFacts)
    if setup.size == "small":
        return replace(shape, unet_channels=SMALL[: len(shape.unet_channels)])
    if setup.size == "full":
        published = facts.full
        return replace(
            shape, unet_channels=published.unet_channels, depths=published.depths, middle=published.middle
        )  # fmt: skip
    return shape


@dataclass(frozen=True)
class Loop:
    """A loop before its next step: ``work`` takes so many of them and waits for the device; with what it holds.

    ``save`` saves a LoRA file and a state and returns when the loop may go on, ``saved`` when they are on disk.
    ``passes`` takes a batch as the steps do, ``repeat`` takes the same one again; none where the two loops are not
    compared so. ``levers`` tells what became of those that were asked for.
    """

    work: Callable[[int], None]
    modules: list[nn.Module]
    optimizer: torch.optim.Optimizer
    save: Callable[[], None] | None = None
    saved: Callable[[], None] | None = None
    passes: Callable[[], Passes] | None = None
    repeat: Callable[[Passes], Passes] | None = None
    levers: Callable[[], str] = lambda: ""


def device_here() -> torch.device:
    """What both loops compute on: the current GPU, else the CPU."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")


def ours(setup: Setup) -> Loop:
    """The trainer, loader, events and guards included, stopped before its first step."""
    from lora_tui.config.estimate import storage_of
    from lora_tui.config.load import dump_config
    from lora_tui.families.devices import check_products, choose_dtype
    from lora_tui.jobs.control import ControlInbox
    from lora_tui.jobs.events import EventWriter
    from lora_tui.runs.folder import RunFolder
    from lora_tui.runs.quicker import quicker_words
    from lora_tui.runs.record import read_record
    from lora_tui.trainer.attention import attending, choose_attention
    from lora_tui.trainer.control import Controls
    from lora_tui.trainer.loop import Loop as Training
    from lora_tui.trainer.run import prepare
    from lora_tui.trainer.session import Session

    config = _config(setup)
    run = RunFolder.create(setup.folder / "runs", "bench", dump_config(config), {})
    events = EventWriter(run.events_path)
    device = device_here()
    check_products(storage_of(config.memory), device)
    session = Session(
        run, config, events, Controls(ControlInbox(run.root), events), device, choose_dtype(setup.precision, device)
    )
    with _aside():
        material, trainee = prepare(session)
        kernel = choose_attention(session, material, trainee)
    training = Training(session, material, trainee)
    steps = training.updates()

    def work(count: int) -> None:
        with _aside(), attending(kernel):  # the bare loop's turns are as torch chooses
            for _step in range(count):
                next(steps)
        _wait()

    def passes() -> Passes:
        with _aside(), attending(kernel):
            return _passes(material, trainee)

    def save() -> None:
        with _aside():
            training.save_now()

    writer, words = training.saving.writer, lambda: ", ".join(quicker_words(read_record(run)))
    return Loop(
        work, trainee.model.loaded(), trainee.stepper.optimizer, save, writer.settle,
        passes=None if setup.text_encoder else passes, levers=words,
    )  # fmt: skip


def _passes(material: Material, trainee: Trainee) -> Passes:
    """The largest batch of the plan as a step takes it; weights and random numbers stay as they are."""
    from lora_tui.trainer.rehearsal import batches_by_shape

    batch = material.loader().now(0, batches_by_shape(material.data.plan)[0])
    start = f"{trainee.model.facts.denoiser}:"
    own = {name.removeprefix(start): weight for name, weight in trainee.adapter.tensors().items()}
    try:
        with trainee.adapter.learning(0):
            loss = material.step.losses(batch).mean()
            loss.backward()
        return _passed(batch, own, loss)
    finally:
        trainee.stepper.discard()


def _passed(batch: Prepared, weights: dict[str, Tensor], loss: Tensor) -> Passes:
    gradients = {name: weight.grad.clone() for name, weight in weights.items() if weight.grad is not None}
    return Passes(batch, {name: weight.detach().clone() for name, weight in weights.items()}, gradients, loss.item())


@contextlib.contextmanager
def _aside() -> Iterator[None]:
    """What a run says is none of the figures."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def waiting_run(setup: Setup) -> RunFolder:
    """A run of one step on ``setup`` that was not begun yet."""
    from lora_tui.config.load import dump_config, set_values
    from lora_tui.runs.folder import RunFolder

    config = set_values(_config(setup), ["steps.max_steps=1"])
    return RunFolder.create(setup.folder / "runs", "start", dump_config(config), {})


def _config(setup: Setup) -> Any:
    from lora_tui.config.load import parse_config

    values = {
        "model": {"base": str(setup.model()), "family": setup.family},
        "datasets": [{"path": str(setup.images())}],
        "data": {"resolution": setup.side, "buckets": False},
        "network": {"rank": setup.rank, "alpha": setup.rank, "text_encoder": setup.text_encoder},
        "learning": {"schedule": "constant", "text_encoder_lr": TEXT_RATE},
        "steps": {"epochs": 100_000, "batch_size": setup.batch_size},
        "memory": {
            "precision": setup.precision, "gradient_checkpointing": setup.checkpointing,
            "base_weights": setup.base_weights, "streamed_blocks": setup.streamed,
            "products": setup.products, "compile": setup.compile, "cuda_graphs": setup.graphs, "when_full": "stop",
            "channels_last": setup.channels_last, "attention": setup.attention,
        },
        "validation": {"mode": "off"},
        "saving": {"every_epochs": 0, "state_every_epochs": 0},
        "captions": {"t5_tokens": flow_loop.FAMILIES[setup.family].count(setup.size)}
        if setup.family in ("flux", "sd3") else {"max_tokens": 75},
    }  # fmt: skip
    return parse_config(values, base=None, place="bench")


def bare(setup: Setup) -> Loop:
    """The loop that one would write by hand with torch, diffusers and peft."""
    dtype = torch.bfloat16 if setup.precision == "bf16" else torch.float32
    torch.manual_seed(0)
    return (_bare_flow if setup.family in flow_loop.FAMILIES else _bare_unet)(setup, device_here(), dtype)


def _bare_flow(setup: Setup, device: torch.device, dtype: torch.dtype) -> Loop:
    import diffusers

    family = flow_loop.FAMILIES[setup.family]
    kind = getattr(diffusers, family.network)
    network = kind.from_pretrained(setup.model(), subfolder="transformer", torch_dtype=dtype)
    trained = _add_lora(network.to(device), setup.rank, family.layers(family.shape(setup.size)))
    if setup.checkpointing:
        network.enable_gradient_checkpointing()
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=True)
    loss = flow_loop.loss(setup.family, network, setup.size, setup.side, setup.batch_size, device, dtype)
    return Loop(_steps(loss, trained, optimizer), [network], optimizer)


def _bare_unet(setup: Setup, device: torch.device, dtype: torch.dtype) -> Loop:
    from diffusers import DDPMScheduler, UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(setup.model(), subfolder="unet", torch_dtype=dtype).to(device)
    trained = _add_lora(unet, setup.rank, UNET_TARGETS)
    if setup.checkpointing:
        unet.enable_gradient_checkpointing()
    groups, modules = [{"params": trained, "lr": 1e-4}], [unet]
    if setup.text_encoder:
        encoders, told, kept = _bare_encoders(setup, device, dtype)
        groups.append({"params": kept, "lr": TEXT_RATE})
        modules += encoders
        trained = [*trained, *kept]
    else:
        text = torch.randn(IMAGES, 77, unet.config.cross_attention_dim).to(device, dtype)
        pooled = torch.randn(IMAGES, _shape(setup).text[-1].projection).to(device, dtype)

        def told(chosen: Tensor) -> tuple[Tensor, Tensor]:
            return text[chosen], pooled[chosen]

    optimizer = torch.optim.AdamW(groups, fused=True)
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    latents = torch.randn(IMAGES, 4, setup.side // 8, setup.side // 8).to(device)
    sizes = torch.tensor([[setup.side, setup.side, 0, 0, setup.side, setup.side]] * setup.batch_size).to(device)

    def error(clean: Tensor, noise: Tensor, timesteps: Tensor, read: Callable[[], tuple[Tensor, Tensor]]) -> Tensor:
        noisy = scheduler.add_noise(clean, noise, timesteps).to(dtype)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            states, vectors = read()
            more = {"text_embeds": vectors, "time_ids": sizes[: len(clean)]} if setup.family == "sdxl" else None
            found = unet(noisy, timesteps, encoder_hidden_states=states, added_cond_kwargs=more, return_dict=False)
        return torch.nn.functional.mse_loss(found[0].float(), noise)

    def loss() -> Tensor:
        chosen = torch.randint(0, IMAGES, (setup.batch_size,), device=device)
        clean = latents[chosen]
        timesteps = torch.randint(0, 1000, (setup.batch_size,), device=device)
        return error(clean, torch.randn_like(clean), timesteps, lambda: told(chosen))

    def repeat(one: Passes) -> Passes:
        def again(latents: Tensor, noise: Tensor, timesteps: Tensor, text: Tensor, pooled: Any = None) -> Tensor:
            return error(latents, noise, timesteps, lambda: (text, pooled))

        return _repeated(one, unet, again)

    return Loop(_steps(loss, trained, optimizer), modules, optimizer, repeat=repeat)


def _repeated(one: Passes, network: nn.Module, error: Callable[..., Tensor]) -> Passes:
    """The batch of ``one`` through ``network`` with its LoRA; ``error`` takes its tensors by name."""
    learning = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}
    own = {name.removesuffix(".default.weight"): weight for name, weight in learning.items()}
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(one.weights[name])
    known = ("latents", "noise", "timesteps", "text", "pooled")
    given = {**one.batch.inputs, **one.batch.conditioning}
    device = next(iter(own.values())).device
    loss = error(**{name: given[name].to(device) for name in known if name in given})
    loss.backward()
    found = _passed(one.batch, own, loss)
    network.zero_grad(set_to_none=True)
    return found


def _steps(loss: Callable[[], Tensor], trained: list[Tensor], optimizer: Any) -> Callable[[int], None]:
    """So many updates with what ``loss`` gives."""

    def work(count: int) -> None:
        for _step in range(count):
            loss().backward()
            torch.nn.utils.clip_grad_norm_(trained, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        _wait()

    return work


def _bare_encoders(
    setup: Setup, device: torch.device, dtype: torch.dtype
) -> tuple[list[nn.Module], Callable[[Tensor], tuple[Tensor, Tensor]], list[Tensor]]:
    """The text encoders with a LoRA; states and pooled vectors of chosen captions; what of the encoders is trained."""
    from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    kinds = {"": CLIPTextModel, **({"_2": CLIPTextModelWithProjection} if setup.family == "sdxl" else {})}
    encoders, rows, trained = [], [], []
    for number, kind in kinds.items():
        encoder = kind.from_pretrained(setup.model(), subfolder=f"text_encoder{number}", dtype=dtype).to(device)
        trained += _add_lora(encoder, setup.rank, TEXT_ENCODER_TARGETS)
        tokenizer = CLIPTokenizer.from_pretrained(setup.model() / f"tokenizer{number}", local_files_only=True)
        row = tokenizer(CAPTION, padding="max_length", max_length=77, return_tensors="pt").input_ids
        encoders.append(encoder)
        rows.append(row.repeat(IMAGES, 1).to(device))

    def told(chosen: Tensor) -> tuple[Tensor, Tensor]:
        found = [one(ids[chosen], output_hidden_states=True) for one, ids in zip(encoders, rows, strict=True)]
        if setup.family == "sdxl":
            return torch.cat([one.hidden_states[-2] for one in found], dim=-1), found[1].text_embeds
        if setup.family == "sd2":
            return found[0].last_hidden_state, found[0].pooler_output
        norm = getattr(encoders[0], "text_model", encoders[0]).final_layer_norm
        return norm(found[0].hidden_states[-2]), found[0].pooler_output

    return encoders, told, trained


def _add_lora(module: Any, rank: int, targets: tuple[str, ...] | str) -> list[Tensor]:
    """A LoRA of ``rank`` in float32 on the frozen ``module``'s layers of these suffixes or this pattern."""
    from peft import LoraConfig

    module.requires_grad_(False)
    named = targets if isinstance(targets, str) else list(targets)
    module.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=named))
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.data = parameter.data.float()
    return trained


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
