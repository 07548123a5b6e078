"""The configuration of a run: every setting, declared once. Knows no torch, no screen and no file."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from lora_tui.config.option import Rule, option
from lora_tui.text.translate import N_

SCHEMA_VERSION = 1

Precision = Literal["bf16", "fp16", "fp32"]
Schedule = Literal["constant", "linear", "cosine", "cosine_with_restarts", "polynomial"]
Sampler = Literal["euler_a", "euler", "dpmpp_2m_karras", "dpmpp_2m", "ddim", "unipc", "heun"]


class Section(BaseModel):
    """A group of settings. Unknown keys are errors; values are checked on assignment, too."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, protected_namespaces=())


class ModelSection(Section):
    """Model"""

    base: str = option(
        "",
        N_("base model"),
        N_(
            "The checkpoint the LoRA is trained on: a .safetensors file, a diffusers folder, or a hub name such as "
            "owner/model. A LoRA works best on the model it was trained on and on its relatives."
        ),
        path="model",
        peers=("pretrained_model_name_or_path", "base_model_name"),
    )
    family: Literal["sd15"] = option(
        "sd15",
        N_("family"),
        N_("The architecture of the base model. A file of another family is refused before anything loads."),
        labels=(("sd15", "Stable Diffusion 1.5"),),
        peers=("model_train_type", "v2", "arch"),
    )
    vae: str = option(
        "",
        N_("separate VAE"),
        N_("A VAE file or folder that replaces the one in the base model. Empty uses the base model's own."),
        expert=True,
        path="model",
        peers=("vae",),
    )
    clip_skip: int = option(
        2,
        N_("clip skip"),
        N_(
            "Which layer of the text encoder is read, counted from the end: 1 is the last, 2 the one before it. "
            "Use what the base model is used with; 2 is usual for SD1.5."
        ),
        ge=1,
        le=12,
        families=("sd15",),
        peers=("clip_skip",),
    )
    allow_pickle: bool = option(
        False,
        N_("allow .ckpt files"),
        N_(
            "Pickled checkpoints can carry programs. When on, such a file is read through torch's weights-only "
            "reader, which refuses everything but tensors. Prefer .safetensors."
        ),
        expert=True,
    )


class DatasetEntry(Section):
    """One folder of images."""

    path: str = option(
        "",
        N_("folder"),
        N_("A folder of images with captions beside them; folders named N_name repeat their images N times."),
        path="folder",
        peers=("train_data_dir", "image_dir", "folder_path"),
    )
    repeats: int = option(
        0,
        N_("repeats"),
        N_("How often each image is shown in one epoch. 0 takes the number from a folder named N_name, else 1."),
        ge=0,
        le=10_000,
        peers=("num_repeats",),
    )


class DataSection(Section):
    """Dataset"""

    resolution: int = option(
        512,
        N_("resolution"),
        N_(
            "Training size: the area of a square with this side. SD1.5 learned at 512; larger needs more memory "
            "and time, smaller loses detail."
        ),
        unit="px",
        ge=64,
        le=4096,
        peers=("resolution", "max_resolution"),
    )
    buckets: bool = option(
        True,
        N_("buckets"),
        N_("Group images by shape so that little is cut away. Off crops every image to a square at its centre."),
        peers=("enable_bucket", "aspect_ratio_bucketing"),
    )
    bucket_min: int = option(
        256,
        N_("smallest side"),
        N_("No bucket has a side below this."),
        unit="px",
        ge=16,
        le=4096,
        expert=True,
        when=Rule(lambda c: c.data.buckets and c.data.upscale, N_("buckets are on and small images are enlarged")),
        peers=("min_bucket_reso",),
    )
    bucket_max: int = option(
        1024,
        N_("largest side"),
        N_("No bucket has a side above this."),
        unit="px",
        ge=64,
        le=8192,
        expert=True,
        when=Rule(lambda c: c.data.buckets and c.data.upscale, N_("buckets are on and small images are enlarged")),
        peers=("max_bucket_reso",),
    )
    bucket_step: Literal[8, 16, 32, 64, 128] = option(
        64,
        N_("bucket step"),
        N_("The sides of buckets are multiples of this. Smaller steps cut less away and make more buckets."),
        unit="px",
        expert=True,
        when=Rule(lambda c: c.data.buckets, N_("buckets are on")),
        peers=("bucket_reso_steps",),
    )
    upscale: bool = option(
        True,
        N_("enlarge small images"),
        N_("Enlarge images below the training size. Off trains them in smaller buckets of their own size."),
        expert=True,
        when=Rule(lambda c: c.data.buckets, N_("buckets are on")),
        peers=("bucket_no_upscale",),
    )
    flip: bool = option(
        False,
        N_("random flip"),
        N_("Mirror images left to right at random. Leave off for anything with a left and a right."),
        peers=("flip_aug",),
    )


class CaptionSection(Section):
    """Captions"""

    extensions: list[str] = option(
        None,
        N_("caption files"),
        N_("Endings of caption files, in order; the first that exists beside an image is read."),
        factory=lambda: [".txt", ".caption"],
        expert=True,
        peers=("caption_extension",),
    )
    shuffle: bool = option(
        False,
        N_("shuffle tags"),
        N_("Another order of the comma-separated tags each time. Suits tags, not sentences."),
        peers=("shuffle_caption",),
    )
    keep_tokens: int = option(
        0,
        N_("keep first tags"),
        N_("This many tags stay in front when tags are shuffled. 1 keeps the trigger word first."),
        ge=0,
        le=255,
        when=Rule(lambda c: c.captions.shuffle, N_("tags are shuffled")),
        peers=("keep_tokens",),
    )
    dropout: float = option(
        0.0,
        N_("caption dropout"),
        N_("Share of the time that a caption is left empty, which keeps guidance working. 0 to 0.1 is usual."),
        ge=0.0,
        le=1.0,
        peers=("caption_dropout_rate",),
    )
    max_tokens: Literal[75, 150, 225] = option(
        225,
        N_("token limit"),
        N_("Captions longer than this many tokens are cut, and a warning says how many. Costs little."),
        unit="tokens",
        expert=True,
        families=("sd15",),
        peers=("max_token_length",),
    )
    variants: int = option(
        16,
        N_("cached orders"),
        N_(
            "How many shuffled orders of each caption are kept when text embeddings are cached; the text encoder "
            "need not stay in memory for them."
        ),
        ge=1,
        le=1000,
        expert=True,
        when=Rule(
            lambda c: c.captions.shuffle and not c.network.text_encoder,
            N_("tags are shuffled and the text encoder is not trained"),
        ),
    )


class NetworkSection(Section):
    """Network"""

    type: Literal["lora"] = option(
        "lora",
        N_("type"),
        N_("What is trained: LoRA adds two thin matrices to each chosen layer."),
        labels=(("lora", "LoRA"),),
        peers=("network_module", "lora_type"),
    )
    rank: int = option(
        32,
        N_("rank"),
        N_(
            "Directions each layer may learn (dim). Higher keeps more detail and makes a larger file. Characters "
            "usually 32 or 64, styles up to 128."
        ),
        ge=1,
        le=320,
        peers=("network_dim", "linear", "lora_rank", "dim"),
    )
    alpha: float = option(
        32.0,
        N_("alpha"),
        N_("The update is multiplied by alpha / rank. Above rank it acts like a higher learning rate."),
        gt=0,
        le=1024,
        peers=("network_alpha", "linear_alpha", "lora_alpha"),
    )
    text_encoder: bool = option(
        True,
        N_("train text encoder"),
        N_(
            "Also adapt how words are understood. Helps a new trigger word; off saves memory and time, and lets text "
            "embeddings be cached."
        ),
        peers=("network_train_unet_only", "train_text_encoder"),
    )


class LearningSection(Section):
    """Learning"""

    unet_lr: float = option(
        1e-4,
        N_("learning rate"),
        N_("Step size for the image model. 1e-4 is usual for LoRA; too high burns, too low learns nothing."),
        ge=0,
        le=10,
        peers=("unet_lr", "learning_rate", "lr"),
    )
    text_encoder_lr: float = option(
        1e-5,
        N_("text encoder rate"),
        N_("Step size for the text encoder, usually a tenth to a half of the other."),
        ge=0,
        le=10,
        when=Rule(lambda c: c.network.text_encoder, N_("the text encoder is trained")),
        peers=("text_encoder_lr",),
    )
    schedule: Schedule = option(
        "cosine",
        N_("schedule"),
        N_("How the learning rate changes over the run. Cosine falls smoothly to the end."),
        peers=("lr_scheduler",),
    )
    warmup: int = option(
        0,
        N_("warm-up"),
        N_("Steps in which the learning rate rises from zero at the start."),
        unit="steps",
        ge=0,
        peers=("lr_warmup_steps",),
    )
    restarts: int = option(
        1,
        N_("restarts"),
        N_("How many times the cosine begins anew."),
        ge=1,
        le=100,
        when=Rule(lambda c: c.learning.schedule == "cosine_with_restarts", N_("schedule is cosine_with_restarts")),
        peers=("lr_scheduler_num_cycles",),
    )
    power: float = option(
        1.0,
        N_("power"),
        N_("Exponent of the polynomial; 1 falls in a straight line."),
        gt=0,
        le=10,
        expert=True,
        when=Rule(lambda c: c.learning.schedule == "polynomial", N_("schedule is polynomial")),
        peers=("lr_scheduler_power",),
    )
    final: float = option(
        0.0,
        N_("final share"),
        N_("Share of the learning rate that is left at the end of the schedule."),
        ge=0.0,
        le=1.0,
        expert=True,
        when=Rule(lambda c: c.learning.schedule != "constant", N_("schedule is not constant")),
        peers=("lr_scheduler_min_lr_ratio",),
    )


class OptimizerSection(Section):
    """Optimizer"""

    type: Literal["adamw"] = option(
        "adamw",
        N_("optimizer"),
        N_("AdamW of torch, fused where the device has it."),
        labels=(("adamw", "AdamW"),),
        peers=("optimizer_type", "optimizer"),
    )
    weight_decay: float = option(
        0.01,
        N_("weight decay"),
        N_("Pulls the adapter's weights towards zero a little at each step."),
        ge=0,
        le=10,
        expert=True,
        peers=("weight_decay",),
    )
    beta1: float = option(0.9, N_("beta 1"), N_("Memory of the gradient's mean."), ge=0.0, le=0.9999, expert=True)
    beta2: float = option(0.999, N_("beta 2"), N_("Memory of the gradient's square."), ge=0.0, le=0.99999, expert=True)
    eps: float = option(1e-8, N_("epsilon"), N_("Keeps the division stable."), gt=0, le=1, expert=True)
    max_grad_norm: float = option(
        1.0,
        N_("clip gradients"),
        N_("A gradient longer than this is shortened to it. 0 leaves gradients as they are."),
        ge=0,
        le=1e6,
        expert=True,
        peers=("max_grad_norm",),
    )


class StepSection(Section):
    """Steps"""

    epochs: int = option(
        10,
        N_("epochs"),
        N_("How often the whole dataset, repeats included, is shown."),
        ge=1,
        le=100_000,
        peers=("max_train_epochs",),
    )
    max_steps: int = option(
        0,
        N_("stop at step"),
        N_("End at this step even within an epoch; 0 trains all epochs. More steps than the epochs give add epochs."),
        unit="steps",
        ge=0,
        peers=("max_train_steps", "steps"),
    )
    batch_size: int = option(
        2,
        N_("batch size"),
        N_("Images shown at once. Larger is steadier, faster per image and needs more memory."),
        ge=1,
        le=1024,
        peers=("train_batch_size", "batch_size"),
    )
    gradient_accumulation: int = option(
        1,
        N_("gradient accumulation"),
        N_("Batches added up before one update: the effect of a larger batch without its memory."),
        ge=1,
        le=1024,
        expert=True,
        peers=("gradient_accumulation_steps",),
    )
    seed: int = option(
        42,
        N_("seed"),
        N_("Names the random numbers of the run: the same seed repeats it."),
        ge=0,
        le=2**32 - 1,
        peers=("seed",),
    )


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
        peers=("sample_every_n_epochs",),
    )
    every_steps: int = option(
        0,
        N_("every steps"),
        N_("Draw the samples after this many steps; 0 never."),
        unit="steps",
        ge=0,
        peers=("sample_every_n_steps", "sample_every"),
    )


class NoiseSection(Section):
    """Noise, loss"""

    min_snr_gamma: float = option(
        0.0,
        N_("min-SNR gamma"),
        N_("Weighs easy timesteps down so that learning is steadier; 5 is usual, 0 is off."),
        ge=0,
        le=100,
        peers=("min_snr_gamma", "snr_gamma"),
    )
    noise_offset: float = option(
        0.0,
        N_("noise offset"),
        N_("Helps very dark and very bright images; up to 0.1, 0 is off."),
        ge=0,
        le=1,
        expert=True,
        peers=("noise_offset",),
    )
    min_timestep: int = option(
        0,
        N_("lowest timestep"),
        N_("Noise levels below this are not trained. Low timesteps are fine detail."),
        ge=0,
        le=999,
        expert=True,
        peers=("min_timestep",),
    )
    max_timestep: int = option(
        1000,
        N_("highest timestep"),
        N_("Noise levels from this on are not trained. High timesteps are composition."),
        ge=1,
        le=1000,
        expert=True,
        peers=("max_timestep",),
    )


class ValidationSection(Section):
    """Validation"""

    mode: Literal["auto", "on", "off"] = option(
        "auto",
        N_("validation"),
        N_(
            "Keep some images out of training and measure the loss on them with fixed noise: it turns up when the run "
            "overfits. Auto holds images out from 20 images on."
        ),
        labels=(("auto", N_("auto (from 20 images)")), ("on", N_("on")), ("off", N_("off"))),
        peers=("validation_split",),
    )
    share: float = option(
        0.05,
        N_("share held out"),
        N_("Share of the images kept for validation, at least 2. Near-duplicates stay on one side."),
        gt=0,
        le=0.5,
        expert=True,
        when=Rule(lambda c: c.validation.mode != "off", N_("validation is not off")),
        peers=("validation_split",),
    )
    every_epochs: int = option(
        1,
        N_("every epochs"),
        N_("Measure after this many epochs; 0 never."),
        unit="epochs",
        ge=0,
        when=Rule(lambda c: c.validation.mode != "off", N_("validation is not off")),
        peers=("validate_every_n_epochs",),
    )
    every_steps: int = option(
        0,
        N_("every steps"),
        N_("Measure after this many steps; 0 never."),
        unit="steps",
        ge=0,
        when=Rule(lambda c: c.validation.mode != "off", N_("validation is not off")),
        peers=("validate_every_n_steps",),
    )


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
    cache_latents: bool = option(
        True,
        N_("cache latents"),
        N_("Encode each image once and keep the result on disk; the VAE then leaves memory. Almost always faster."),
        expert=True,
        peers=("cache_latents", "cache_latents_to_disk"),
    )
    device: str = option(
        "auto",
        N_("device"),
        N_("auto takes the GPU with most free memory, else the CPU; cuda:1 or cpu names one."),
        expert=True,
        peers=("gpu_ids", "device"),
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
        peers=("save_every_n_epochs",),
    )
    every_steps: int = option(
        0,
        N_("every steps"),
        N_("Save the LoRA after this many steps; 0 never."),
        unit="steps",
        ge=0,
        peers=("save_every_n_steps", "save_every"),
    )
    keep_last: int = option(
        0,
        N_("keep last"),
        N_("Delete older LoRA files of the run beyond this many; 0 keeps all. The final file always stays."),
        ge=0,
        expert=True,
        peers=("save_last_n_epochs", "max_step_saves_to_keep"),
    )
    precision: Precision = option(
        "fp16",
        N_("file precision"),
        N_("Number format in the LoRA file. fp16 is read everywhere and half the size of fp32."),
        peers=("save_precision",),
    )
    state_every_steps: int = option(
        0,
        N_("state every steps"),
        N_("Write everything that an exact resume needs after this many steps; 0 leaves it to epochs."),
        unit="steps",
        ge=0,
        expert=True,
        peers=("save_state",),
    )
    state_every_epochs: int = option(
        1,
        N_("state every epochs"),
        N_("Write the resume state after this many epochs; 0 writes it only when the run stops."),
        unit="epochs",
        ge=0,
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


class SamplePrompt(Section):
    """One image drawn during training."""

    prompt: str = option("", N_("prompt"), N_("What to draw."))
    negative: str = option("", N_("negative prompt"), N_("What to avoid."))
    width: int = option(512, N_("width"), N_("Width of the image, a multiple of 8."), unit="px", ge=64, le=4096)
    height: int = option(512, N_("height"), N_("Height of the image, a multiple of 8."), unit="px", ge=64, le=4096)
    steps: int = option(20, N_("steps"), N_("Denoising steps; 20 to 30 are usual."), ge=1, le=1000)
    guidance: float = option(7.0, N_("guidance"), N_("How closely the prompt is followed (CFG)."), ge=0, le=100)
    seed: int = option(42, N_("seed"), N_("The same seed draws comparable images."), ge=0, le=2**32 - 1)
    sampler: Sampler = option("euler_a", N_("sampler"), N_("The method of denoising."))
    strength: float = option(1.0, N_("strength"), N_("Weight of the LoRA in this image."), ge=-10, le=10)


class Config(Section):
    """A complete run. ``datasets`` and ``samples`` are lists, everything else is one section a group."""

    schema_version: int = option(SCHEMA_VERSION, N_("schema version"), N_("Version of this file's format."))
    model: ModelSection = option(None, N_("Model"), "", factory=ModelSection)
    datasets: list[DatasetEntry] = option(None, N_("Folders"), "", factory=list)
    data: DataSection = option(None, N_("Dataset"), "", factory=DataSection)
    captions: CaptionSection = option(None, N_("Captions"), "", factory=CaptionSection)
    network: NetworkSection = option(None, N_("Network"), "", factory=NetworkSection)
    learning: LearningSection = option(None, N_("Learning"), "", factory=LearningSection)
    optimizer: OptimizerSection = option(None, N_("Optimizer"), "", factory=OptimizerSection)
    steps: StepSection = option(None, N_("Steps"), "", factory=StepSection)
    samples: list[SamplePrompt] = option(None, N_("Prompts"), "", factory=list)
    sampling: SamplingSection = option(None, N_("Samples"), "", factory=SamplingSection)
    noise: NoiseSection = option(None, N_("Noise, loss"), "", factory=NoiseSection)
    validation: ValidationSection = option(None, N_("Validation"), "", factory=ValidationSection)
    memory: MemorySection = option(None, N_("Memory"), "", factory=MemorySection)
    saving: SavingSection = option(None, N_("Saving"), "", factory=SavingSection)


def as_plain(config: Config) -> dict[str, Any]:
    """The configuration as plain dictionaries, lists and scalars, in the order of the schema."""
    return config.model_dump(mode="python")
