"""What it takes and what it leaves: memory, files, sample images."""

from __future__ import annotations

from typing import Literal

from lora_tui.config.option import Rule, option
from lora_tui.config.schema.groups import UNETS
from lora_tui.config.schema.section import MOST_EPOCHS, MOST_STEPS, Precision, Sampler, Section, Spacing
from lora_tui.text.translate import N_


class SamplingSection(Section):
    """Samples"""

    at_start: bool = option(
        True,
        N_("at the start"),
        N_("Also draw the samples before the first step, to compare with."),
        peers=("sample_at_first",),
    )
    every_epochs: int = option(
        1,
        N_("every epochs"),
        N_("Draw the samples after this many epochs; 0 never."),
        unit="epochs",
        ge=0,
        le=MOST_EPOCHS,
        peers=("sample_every_n_epochs",),
    )
    every_steps: int = option(
        0,
        N_("every steps"),
        N_("Draw the samples after this many steps; 0 never."),
        unit="steps",
        ge=0,
        le=MOST_STEPS,
        peers=("sample_every_n_steps", "sample_every"),
    )


class SamplePrompt(Section):
    """One image drawn during training."""

    prompt: str = option(
        "",
        N_("prompt"),
        N_("What to draw. Flags typed behind it are taken apart: a cat --n blurry --w 512 --h 768 --d 1 --s 28 --l 7."),
        peers=("sample_prompts", "positive_prompts"),
    )
    negative: str = option("", N_("negative prompt"), N_("What to avoid."))
    width: int = option(
        512, N_("width"), N_("Width of the image, a multiple of 8; of 16 for transformers."), unit="px", ge=64, le=4096
    )
    height: int = option(
        512,
        N_("height"),
        N_("Height of the image, a multiple of 8; of 16 for transformers."),
        unit="px",
        ge=64,
        le=4096,
    )
    steps: int = option(20, N_("steps"), N_("Denoising steps; 20 to 30 are usual."), ge=1, le=1000)
    guidance: float = option(7.0, N_("guidance"), N_("How closely the prompt is followed (CFG)."), ge=0, le=100)
    seed: int = option(42, N_("seed"), N_("The same seed draws comparable images."), ge=0, le=2**32 - 1)
    sampler: Sampler = option("euler_a", N_("sampler"), N_("The method of denoising."))
    spacing: Spacing = option(
        "automatic",
        N_("schedule type"),
        N_("How noise levels are spaced, by A1111's names; automatic is the sampler's own way."),
    )
    strength: float = option(1.0, N_("strength"), N_("Weight of the LoRA in this image."), ge=-10, le=10)


class MemorySection(Section):
    """Memory"""

    precision: Precision = option(
        "bf16",
        N_("precision"),
        N_(
            "Number format of the base model and its arithmetic; the adapter itself is kept in fp32. bf16 on cards "
            "from 2020 on, fp16 on older ones, fp32 for exactness."
        ),
        peers=("mixed_precision", "dtype"),
    )
    gradient_checkpointing: bool = option(
        False,
        N_("gradient checkpointing"),
        N_("Computes activations again instead of keeping them: much less memory, about a third more time."),
        peers=("gradient_checkpointing",),
    )
    checkpointed_share: float = option(
        1.0,
        N_("share of blocks"),
        N_(
            "The share of the blocks whose activations are computed again. 1 takes the least memory; at 0.5 every "
            "other block keeps its own, which is quicker and takes about half of what is saved. Streamed blocks are "
            "always computed again."
        ),
        gt=0,
        le=1,
        expert=True,
        when=Rule(lambda c: c.memory.gradient_checkpointing, N_("gradient checkpointing is on")),
    )
    base_weights: Literal["full", "fp8", "int8", "nf4"] = option(
        "full",
        N_("base weights"),
        N_(
            "How the base model's layers are kept while the LoRA learns. fp8 and int8 take half the memory of bf16, "
            "nf4 little more than a quarter, each a little further from the original; arithmetic is in the precision "
            "above."
        ),
        labels=(
            ("full", N_("as they are")),
            ("fp8", N_("8 bits (fp8)")),
            ("int8", N_("8 bits (int8)")),
            ("nf4", N_("4 bits (nf4)")),
        ),
        peers=("fp8_base", "quantize", "transformer_weight_dtype"),
    )
    products: Literal["full", "8bit"] = option(
        "full",
        N_("products"),
        N_(
            "8 bits: layers of the base kept as int8 or fp8 also multiply so, forward and back, which newer cards do "
            "faster; the LoRA's own products stay as they are. Experimental: tried on random weights alone, which "
            "lack the outliers of trained ones."
        ),
        labels=(("full", N_("in the precision above")), ("8bit", N_("in 8 bits (experimental)"))),
        expert=True,
        when=Rule(lambda c: c.memory.base_weights in ("int8", "fp8"), N_("the base weights are int8 or fp8")),
    )
    streamed_blocks: int = option(
        0,
        N_("streamed blocks"),
        N_(
            "This many blocks of the base model stay in the computer's memory and are copied to the GPU when it is "
            "their turn, while others compute: less GPU memory for some time. More than there are means all."
        ),
        ge=0,
        le=1000,
        expert=True,
        when=Rule(lambda c: c.memory.gradient_checkpointing, N_("gradient checkpointing is on")),
        peers=("blocks_to_swap",),
    )
    when_full: Literal["stop", "adapt", "pack"] = option(
        "adapt",
        N_("when memory runs out"),
        N_(
            "Adapt: the step is done again with more computed again, fewer images at a time, streamed blocks; what "
            "is learned stays the same, only slower. Pack also keeps the base in 8 bits when nothing else is left, "
            "which learns a little differently. Stop ends the run."
        ),
        labels=(
            ("stop", N_("stop the run")),
            ("adapt", N_("go on with less")),
            ("pack", N_("go on, pack the base if need be")),
        ),
        expert=True,
    )
    when_room: Literal["keep", "adapt"] = option(
        "keep",
        N_("when memory is left"),
        N_(
            "Adapt: where the memory measured in the first steps leaves room, fewer blocks compute their activations "
            "again, or none; what is learned stays the same, only faster. On a GPU alone, and tried on none yet."
        ),
        labels=(("keep", N_("go on as asked")), ("adapt", N_("keep more activations (experimental)"))),
        expert=True,
        when=Rule(lambda c: c.memory.gradient_checkpointing, N_("gradient checkpointing is on")),
    )
    compile: bool = option(
        False,
        N_("compile blocks"),
        N_(
            "Experimental: has the blocks of the base model compiled for the steps. Takes minutes before the first "
            "step; needs a C++ compiler, and Triton on a GPU. Where it fails, the run goes on without. Samples and "
            "streamed blocks are not compiled."
        ),
        expert=True,
        peers=("compile", "torch_compile", "dynamo_backend"),
    )
    cuda_graphs: bool = option(
        False,
        N_("CUDA graphs"),
        N_(
            "Experimental: records the passes of a step once for each shape of batches and plays them again, which "
            "saves the launches of thousands of small works: most for SD 1.5 and SDXL. Not with gradient "
            "checkpointing, streamed blocks or dropout."
        ),
        expert=True,
    )
    attention: Literal["torch", "fastest", "flash", "cudnn", "efficient", "math"] = option(
        "torch",
        N_("attention"),
        N_(
            "Which of torch's kernels computes attention; what it cannot do, another does. The quickest is found by "
            "passes before the first step. Math takes memory for each pair of tokens."
        ),
        labels=(
            ("torch", N_("as torch chooses")),
            ("fastest", N_("the quickest, measured first")),
            ("flash", N_("FlashAttention")),
            ("cudnn", N_("cuDNN")),
            ("efficient", N_("memory-efficient")),
            ("math", N_("plain products (math)")),
        ),
        expert=True,
        peers=("sdpa", "xformers", "mem_eff_attn", "attn_mode", "attention_mechanism", "attention_backend"),
    )
    channels_last: bool = option(
        False,
        N_("channels last"),
        N_(
            "Lays out the convolutions of the UNet with the channels of a point side by side, as the matrix units of "
            "GPUs take them in bf16 and fp16. The results are the same but for rounding; a CPU gains nothing."
        ),
        expert=True,
        families=UNETS,
    )
    cache_latents: bool = option(
        True,
        N_("cache latents"),
        N_("Encode each image once and keep the result on disk; the VAE then leaves memory. Almost always faster."),
        expert=True,
        peers=("cache_latents", "cache_latents_to_disk"),
    )
    cache_batch: int = option(
        1,
        N_("encoded together"),
        N_(
            "So many images of one size, and captions, go through the VAE and the text encoders together before the "
            "first step. More is quicker on a GPU and takes more of its memory; the last bits of what is kept differ "
            "from those of another number."
        ),
        ge=1,
        le=256,
        expert=True,
        peers=("vae_batch_size", "text_encoder_batch_size"),
    )
    device: str = option(
        "auto",
        N_("device"),
        N_("auto takes the GPU with most free memory, else the CPU; cuda:1 or cpu names one."),
        expert=True,
        peers=("gpu_ids", "device"),
    )
    processes: int = option(
        1,
        N_("processes"),
        N_(
            "This many processes, each with a GPU of its own, share the batches of each step. What is learned is the "
            "same as with one process, so gradient accumulation must give each a batch: with 2 batches of 4 for a "
            "step, 2 processes take one each."
        ),
        ge=1,
        le=64,
        expert=True,
        peers=("num_processes", "multi_gpu"),
    )
    threads: int = option(
        0,
        N_("CPU threads"),
        N_("Threads for arithmetic on the CPU; 0 uses all cores. Bit-equal repeats need the same number."),
        ge=0,
        le=1024,
        expert=True,
    )


class SavingSection(Section):
    """Saving"""

    name: str = option(
        "lora",
        N_("name"),
        N_("The stem of the LoRA files; also part of the run folder's name."),
        peers=("output_name",),
    )
    every_epochs: int = option(
        1,
        N_("every epochs"),
        N_("Save the LoRA after this many epochs; 0 saves only at the end."),
        unit="epochs",
        ge=0,
        le=MOST_EPOCHS,
        peers=("save_every_n_epochs",),
    )
    every_steps: int = option(
        0,
        N_("every steps"),
        N_("Save the LoRA after this many steps; 0 never."),
        unit="steps",
        ge=0,
        le=MOST_STEPS,
        peers=("save_every_n_steps", "save_every"),
    )
    keep_last: int = option(
        0,
        N_("keep last"),
        N_("Delete older LoRA files of the run beyond this many; 0 keeps all. The final file always stays."),
        ge=0,
        le=MOST_STEPS,
        expert=True,
        peers=("save_last_n_epochs", "max_step_saves_to_keep"),
    )
    precision: Precision = option(
        "fp16",
        N_("file precision"),
        N_("Number format in the LoRA file. fp16 is read everywhere and half the size of fp32."),
        peers=("save_precision",),
    )
    layout: Literal["auto", "kohya", "diffusers"] = option(
        "auto",
        N_("names of layers"),
        N_(
            "Auto: kohya's; for transformers those with dots, which ComfyUI and diffusers read. Kohya for transformers "
            "holds query, key and value in one layer as sd-scripts has it: a file twice as large. Diffusers: names "
            "with dots, the strength in the numbers and no alpha."
        ),
        labels=(("auto", N_("auto")), ("kohya", "kohya"), ("diffusers", "diffusers")),
        expert=True,
        peers=("output_format", "save_format"),
    )
    state_every_steps: int = option(
        0,
        N_("state every steps"),
        N_("Write everything that an exact resume needs after this many steps; 0 leaves it to epochs."),
        unit="steps",
        ge=0,
        le=MOST_STEPS,
        expert=True,
        peers=("save_state",),
    )
    state_every_epochs: int = option(
        1,
        N_("state every epochs"),
        N_("Write the resume state after this many epochs; 0 writes it only when the run stops."),
        unit="epochs",
        ge=0,
        le=MOST_EPOCHS,
        expert=True,
        peers=("save_state",),
    )
    keep_states: int = option(
        2,
        N_("keep states"),
        N_("How many resume states stay on disk; older ones are removed."),
        ge=1,
        le=100,
        expert=True,
        peers=("save_last_n_epochs_state",),
    )
    title: str = option("", N_("title"), N_("Title in the file's metadata; empty takes the name."), expert=True)
    author: str = option("", N_("author"), N_("Author in the file's metadata."), expert=True)
    comment: str = option(
        "", N_("comment"), N_("A note kept in the file's metadata."), expert=True, peers=("training_comment",)
    )
    trigger: str = option(
        "",
        N_("trigger word"),
        N_("Written into the file's metadata, so that other programs can show it."),
        peers=("trigger_word", "class_tokens"),
    )


class TrackingSection(Section):
    """Trackers"""

    tensorboard: bool = option(
        False,
        "TensorBoard",
        N_(
            "Also write curves and samples as TensorBoard reads them, into the folder tensorboard of the run. Nothing "
            "has to be installed for it, and a step does not wait."
        ),
        expert=True,
        peers=("log_with", "logging_dir", "use_tensorboard"),
    )
    wandb: bool = option(
        False,
        "Weights & Biases",
        N_(
            "Also tell curves, samples and settings to Weights & Biases. The key comes from WANDB_API_KEY or the "
            "system's keyring; it is in no file of the run. Needs pip install 'lora-tui[trackers]'."
        ),
        expert=True,
        peers=("log_with", "use_wandb"),
    )
    wandb_project: str = option(
        "",
        N_("project there"),
        N_("The project of Weights & Biases that the run belongs to; empty is lora-tui."),
        expert=True,
        when=Rule(lambda c: c.tracking.wandb, N_("Weights & Biases is on")),
        peers=("log_tracker_name", "project_name"),
    )
    samples: bool = option(
        True,
        N_("with samples"),
        N_("Tell them the sample images, too; without, only numbers."),
        expert=True,
        when=Rule(lambda c: c.tracking.tensorboard or c.tracking.wandb, N_("one of them is on")),
    )
