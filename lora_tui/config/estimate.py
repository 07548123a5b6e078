"""What a run takes: the size of its LoRA file, its memory by part, its room on disk. Knows no torch.

Constants that belong to a family (parameters, kept activations) are in the family's facts.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.background import courteous
from lora_tui.config.layers import layer_size, trained
from lora_tui.config.optimizers import OPTIMIZER_FACTS
from lora_tui.config.schema import Config, MemorySection, NetworkSection
from lora_tui.families import facts_for
from lora_tui.families.protocol import Storage
from lora_tui.weights.kinds import LYCORIS
from lora_tui.weights.names.shapes import Adapted, file_shapes

if TYPE_CHECKING:
    from lora_tui.dataset.batches import DataPlan
    from lora_tui.families.protocol import TargetModule

ALPHA_BYTES = 4  # alphas are float32 whatever the file's precision
VALUE_BYTES: Mapping[str, int] = {"bf16": 2, "fp16": 2, "fp32": 4}
TRAINED_BYTES = 4  # the adapter and its gradients are kept in fp32
PROCESS_BYTES = 500_000_000  # measured: a trainer that has loaded torch, and a CUDA context with its kernels
METADATA_BYTES = 5_000  # ss_* and modelspec keys of a usual run, without its tags
TAGS_OF_ONE_IMAGE, TAG_BYTES = 30, 44  # each tag of the dataset stands in the metadata twice, with its count
STATE_EXTRA_BYTES = 200_000  # names, random states, counters of a resume state
PNG_BYTES_PER_PIXEL = 1.6  # drawn and photographed images, as PNG files of 8 bits turn out
CACHED_VALUE_BYTES = 4  # latents are kept in fp32, text embeddings in the precision of the base
TOKEN_BYTES = 3  # of a caption's file at least for each token of T5: words of English have five for one and a third
FULL_BYTES = 4  # the VAE always works in fp32
PACKED_BYTES: Mapping[str, float] = {"int8": 1.0, "fp8": 1.0, "nf4": 0.5 + 4 / 64}  # factors of nf4's runs counted
PRODUCT_BYTES = 200_000_000  # of rows that are multiplied in 8 bits, which are worked on in parts
SLOTS = 2  # streamed blocks that are on the device at a time
_BLOCK = re.compile(r"(?:.*?transformer_blocks|layers)\.\d+(?=\.)")

_DTYPES: Mapping[str, str] = {"bf16": "BF16", "fp16": "F16", "fp32": "F32"}


def trained_parameters(config: Config) -> int:
    """Values that the run trains."""
    return sum(layer.values for layer in adapted_layers(config))


def lora_bytes(config: Config, images: int = 0) -> int:
    """Size of one LoRA file: tensors and alphas exactly, the header from the tensors' names and shapes.

    The metadata is a guess from the number of ``images``: a vocabulary grows with the root of the dataset.
    """
    shapes = file_shapes(config.model.family, config.saving.layout, adapted_layers(config))
    value = VALUE_BYTES[config.saving.precision]
    data = sum(math.prod(shape) * value if shape else ALPHA_BYTES for shape in shapes.values())
    header = sum(_entry_bytes(name, shape, config, len(str(data))) for name, shape in shapes.items())
    return data + header + METADATA_BYTES + int(TAGS_OF_ONE_IMAGE * TAG_BYTES * math.sqrt(images))


def adapted_layers(config: Config) -> Iterator[Adapted]:
    """The layers that are trained, with their ranks."""
    network = config.network
    for target in _targets(config):
        rank = layer_size(network, target).rank
        kernel = target.kernel if target.convolution else None
        form = network.form if network.type in LYCORIS else None
        sizes = network.decomposed
        yield Adapted(target.part, target.path, rank, target.inputs, target.outputs, kernel, sizes, form)


def _targets(config: Config) -> tuple[TargetModule, ...]:
    """The layers that are trained."""
    network = config.network
    found = facts_for(config.model.family).targets(
        config.model.base, text_encoder=config.trains_text, convolutions=network.convolutions
    )
    return trained(network, found)


def memory_parts(config: Config, data: DataPlan) -> dict[str, int]:
    """Bytes on the device at the largest training step, by part.

    Parts: ``process`` (torch's libraries, or the driver's context on a GPU), ``weights`` (what of the
    base stays while training, in its precision), ``adapter``,
    ``gradients``, ``optimizer`` (what it keeps of each value), ``activations`` (kept for the backward pass).
    """
    trained = trained_parameters(config) * TRAINED_BYTES
    facts = OPTIMIZER_FACTS[config.optimizer.type]
    return {
        "process": PROCESS_BYTES,
        "weights": weight_bytes(config),
        "adapter": trained * (2 if config.learning.ema_decay > 0 else 1),
        "gradients": trained * (2 if config.memory.processes > 1 else 1),  # and a copy to add up
        "optimizer": int(facts.state_bytes * trained_parameters(config)),
        "activations": step_activations(config, data),
    }


def disk_parts(config: Config, data: DataPlan, *, checkpoints: int, states: int, drawn: int) -> dict[str, int]:
    """Bytes on disk at most, by part: ``checkpoints``, ``states``, ``samples``, cached ``latents`` and ``texts``, and
    the ``packed`` base model.

    Args:
        checkpoints: LoRA files that the run writes; how many of them are kept is taken into account here.
        states: resume states that the run writes, likewise.
        drawn: times that all prompts are drawn.
    """
    images = len(data.pictures) + len(data.validation)
    kept = min(checkpoints, config.saving.keep_last + 1) if config.saving.keep_last else checkpoints
    averaged = 2 if config.learning.ema_decay > 0 else 1  # with a file and a copy of its own beside each
    kept = kept * averaged + (1 if config.validation.keep_best and data.validation else 0)
    value = TRAINED_BYTES * averaged + OPTIMIZER_FACTS[config.optimizer.type].state_bytes
    state = int(value * trained_parameters(config)) + STATE_EXTRA_BYTES
    pixels = sum(sample.width * sample.height for sample in config.samples)
    return {
        "checkpoints": kept * lora_bytes(config, images),
        "states": min(states, config.saving.keep_states + 1) * state,
        "samples": int(drawn * pixels * PNG_BYTES_PER_PIXEL),
        "latents": _cached_latents(config, data),
        "texts": _cached_texts(config, data),
        "packed": _kept_base(config),
    }


def _kept_base(config: Config) -> int:
    """The network that draws as it is kept on disk, where it is packed."""
    facts, memory = facts_for(config.model.family), config.memory
    if memory.base_weights == "full":
        return 0
    full = VALUE_BYTES[memory.precision]
    layers = (one for one in facts.targets(config.model.base, text_encoder=False) if not one.convolution)
    saved = sum(one.inputs * one.outputs for one in layers) * (full - PACKED_BYTES[memory.base_weights])
    return int(facts.part_parameters(config.model.base)[facts.denoiser] * full - saved)


def weight_bytes(config: Config) -> int:
    """Bytes of what stays of the base on the device while training, as it is kept."""
    facts = facts_for(config.model.family)
    parts = facts.part_parameters(config.model.base)
    gone = {"vae"} if config.memory.cache_latents else set()
    targets = facts.targets(config.model.base, text_encoder=config.trains_text)
    learning = {target.part for target in targets}
    gone |= {part for part in parts if part.startswith("text_encoder") and part not in learning}
    sizes = {part: FULL_BYTES if part == "vae" else VALUE_BYTES[config.memory.precision] for part in parts}
    whole = sum(count * sizes[part] for part, count in parts.items() if part not in gone)
    return whole - _saved_by_storage(config)


def _saved_by_storage(config: Config) -> int:
    """What packed layers and streamed blocks of the network that draws take less than all of it on the device."""
    facts, memory = facts_for(config.model.family), config.memory
    storage = storage_of(memory)
    full = VALUE_BYTES[memory.precision]
    each = PACKED_BYTES.get(storage.weights, float(full))
    blocks: dict[str, float] = {}
    saved = 0.0
    for target in facts.targets(config.model.base, text_encoder=False):
        if not target.convolution:
            values = target.inputs * target.outputs
            saved += values * (full - each)
            if found := _BLOCK.match(target.path):
                blocks[found[0]] = blocks.get(found[0], 0.0) + values * each
    for block, values in facts.block_rest(config.model.base).items():
        blocks[block] = blocks.get(block, 0.0) + values * full
    sizes = list(blocks.values())
    if visiting := storage.visiting(len(sizes)):
        saved += max(sum(sizes[number] for number in visiting) - SLOTS * max(sizes), 0.0)
    return int(saved)


def storage_of(memory: MemorySection) -> Storage:
    """How the settings ask for the base to be kept; blocks are streamed only where they are computed again."""
    streamed = memory.streamed_blocks if memory.gradient_checkpointing else 0
    return Storage(memory.base_weights, streamed, memory.products)


def checkpointed_share(memory: MemorySection) -> float:
    """The share of the blocks whose activations are computed again in the backward pass."""
    return memory.checkpointed_share if memory.gradient_checkpointing else 0.0


def step_activations(config: Config, data: DataPlan) -> int:
    """Those of all blocks and those of none, mixed by the share of blocks that compute theirs again."""
    share = checkpointed_share(config.memory)
    least = _kept(config, data, checkpointing=True) if share > 0 else 0
    most = _kept(config, data, checkpointing=False) if share < 1 else 0
    return int(share * least + (1 - share) * most) + _product_bytes(config)


def _product_bytes(config: Config) -> int:
    """What products in 8 bits take at the widest layer: rows as integers, and its weight turned over."""
    if config.memory.products == "full":
        return 0
    targets = facts_for(config.model.family).targets(config.model.base, text_encoder=False)
    return PRODUCT_BYTES + max((one.inputs * one.outputs for one in targets if not one.convolution), default=0)


def _kept(config: Config, data: DataPlan, *, checkpointing: bool) -> int:
    facts, tokens = facts_for(config.model.family), max(t5_tokens(config, data), default=0)
    return max(
        (
            facts.activation_bytes(
                size.width,
                size.height,
                min(batch_size, shown),
                bytes_per_value=VALUE_BYTES[config.memory.precision],
                checkpointing=checkpointing,
                text_encoder=config.trains_text,
                convolutions=config.network.convolutions,
                lean=_is_lean(config.network),
                t5_tokens=tokens,
                base=config.model.base,
            )
            for (size, batch_size), shown in data.showings.items()
        ),
        default=0,
    )


def _is_lean(network: NetworkSection) -> bool:
    """Whether each adapter is two matrices and nothing that stands between them and their layer."""
    dropped = network.dropout or network.rank_dropout or network.module_dropout
    return network.type in ("lora", "locon") and not network.dora and not dropped


def _cached_latents(config: Config, data: DataPlan) -> int:
    if not config.memory.cache_latents:
        return 0
    facts = facts_for(config.model.family)
    pixels = sum(
        one.fit.bucket.width * one.fit.bucket.height * len(data.looks(one))
        for one in courteous((*data.train, *data.validation))
    )
    channels = facts.latent_channels + (config.masks.source != "off")
    values = pixels // facts.latent_factor**2 * channels
    return values * CACHED_VALUE_BYTES


def caption_bytes(config: Config, tokens: int) -> int:
    """Bytes of the embeddings that are kept of a caption of so many tokens of T5, where the model has one."""
    values = facts_for(config.model.family).text_values(
        config.model.base, t5_tokens=tokens, text_encoder=config.trains_text
    )
    return values * VALUE_BYTES[config.memory.precision]


def t5_tokens(config: Config, data: DataPlan) -> list[int]:
    """The tokens of T5 or of a language model that each image's caption takes.

    All that are set, or about its own where the rest is masked.
    """
    captions, images = config.captions, (*data.pictures, *data.validation)
    if not config.masks_text:
        return [config.text_tokens] * len(images)
    around = len(captions.prefix.encode()) + len(captions.suffix.encode()) + TOKEN_BYTES
    found = (around + _file_bytes(planned.image.caption_path) for planned in courteous(images))
    return [min(-(-size // TOKEN_BYTES), config.text_tokens) for size in found]


def _file_bytes(path: Path | None) -> int:
    try:
        return 0 if path is None else path.stat().st_size
    except OSError:
        return 0


def _cached_texts(config: Config, data: DataPlan) -> int:
    """Embeddings of captions, but for those of encoders that learn."""
    captions = config.captions
    variants = captions.variants * (2 if captions.tag_warmup else 1) if config.varies_captions else 1
    lengths = Counter(t5_tokens(config, data))  # of a hundred thousand captions most are as long as others
    return variants * sum(caption_bytes(config, tokens) * images for tokens, images in lengths.items())


def _entry_bytes(name: str, shape: tuple[int, ...], config: Config, digits: int) -> int:
    """Length of the header's entry for one tensor, offsets counted as ``digits`` digits."""
    sides = ",".join(str(side) for side in shape)
    entry = f'"{name}":{{"dtype":"{_DTYPES[config.saving.precision]}","shape":[{sides}],"data_offsets":[,]}},'
    return len(entry) + 2 * digits
