"""Our settings as options of sd-scripts: the way back of :mod:`lora_tui.exchange.sd_scripts`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lora_tui.captions.files import IMAGE_SUFFIXES
from lora_tui.config.entries import settings_of
from lora_tui.config.loras import read_loras
from lora_tui.config.optimizers import OPTIMIZER_FACTS
from lora_tui.config.prompt_lines import SAMPLERS, is_told
from lora_tui.config.schema import FLOW, TEXT_AS_IT_IS, UNETS, Config, SamplePrompt
from lora_tui.dataset.problems import Problem
from lora_tui.dataset.walk import walk
from lora_tui.exchange.draft import value_at
from lora_tui.exchange.sd_keys import STRAIGHT
from lora_tui.exchange.sd_network import ALGOS, PRESETS
from lora_tui.exchange.sd_refusals import CLASSES, accepted, class_of

_PRECISION = {"bf16": "bf16", "fp16": "fp16", "fp32": "float"}
_FLOW_ONLY = {
    "guidance_scale": ("flux",),
    "apply_t5_attn_mask": ("flux",),
    "t5xxl_max_token_length": ("flux", "sd3", "chroma"),
}
_UNET_ONLY = (
    "weighted_captions", "min_snr_gamma", "debiased_estimation_loss", "v_pred_like_loss",
    "scale_v_pred_loss_like_noise_pred",
)  # fmt: skip
_OFF = (0, 0.0, False, "")
_ALWAYS = frozenset({
    "max_grad_norm", "enable_bucket", "train_batch_size",
    "loss_type", "seed",
    "sample_at_first", "min_bucket_reso", "max_bucket_reso", "bucket_reso_steps",
    "prior_loss_weight",
    "lr_scheduler_power", "huber_schedule", "huber_c", "huber_scale", "token_warmup_min", "multires_noise_discount",
    "max_timestep", "gradient_accumulation_steps", "guidance_scale", "t5xxl_max_token_length",
})  # fmt: skip
"""Options that are written even where they are off."""
_TITLES = {"dadapt_adam": "DAdaptAdam", "paged_adamw": "PagedAdamW32bit"}


def options_for(config: Config) -> dict[str, Any]:
    """The options of a training, but for its datasets and prompts."""
    found: dict[str, Any] = dict(_model(config))
    for key, setting in STRAIGHT.items():
        family = config.model.family
        if family not in _FLOW_ONLY.get(key, (family,)) or (key in _UNET_ONLY and family not in UNETS):
            continue
        value = value_at(config, setting)
        if key in _ALWAYS or value not in _OFF:
            found[key] = value
    found |= dict(_network(config))
    found |= dict(_learning(config))
    found |= dict(_flow(config))
    found |= dict(_running(config))
    return accepted(found, config)


def _model(config: Config) -> Iterator[tuple[str, Any]]:
    model, family = config.model, config.model.family
    yield "pretrained_model_name_or_path", model.base
    if family == "sd2":
        yield "v2", True
    if family == "chroma":
        yield "model_type", "chroma"
    if model.prediction == "v_prediction" and family in UNETS:
        yield "v_parameterization", True
    if model.vae:
        yield ("ae" if family in ("flux", "chroma") else "vae"), model.vae
    for name in ("clip_l", "clip_g", "t5xxl"):
        if getattr(model, name) and family in FLOW:
            yield name, getattr(model, name)
    if family == "sd15":
        yield "clip_skip", model.clip_skip
    loras = read_loras(model.loras)
    if loras:
        yield "base_weights", [one.place for one in loras]
        yield "base_weights_multiplier", [one.strength for one in loras]


def _network(config: Config) -> Iterator[tuple[str, Any]]:
    net, family = config.network, config.model.family
    wide = net.type == "locon" or net.all_convolutions
    args: dict[str, Any] = {}
    plain_module = {"flux": "networks.lora_flux", "chroma": "networks.lora_flux", "sd3": "networks.lora_sd3"}
    native = net.type in ("lora", "locon") and net.targets == "all" and not (net.dora or net.rslora)
    module = plain_module.get(family, "networks.lora") if native else "lycoris.kohya"
    if net.type == "dylora" and family in UNETS:
        module, args["unit"] = "networks.dylora", net.unit
    elif module == "lycoris.kohya":
        algos = {ours: name for name, ours in reversed(list(ALGOS.items()))}
        args["algo"] = "locon" if net.type in ("lora", "locon") else algos[net.type]
        args["preset"] = {ours: name for name, ours in reversed(list(PRESETS.items()))}[net.targets]
        if net.type == "lora" and args["preset"] == "full" and family in UNETS:
            args["preset"] = "full-lin"
    if wide and family in UNETS:
        args |= {"conv_dim": net.conv_rank, "conv_alpha": net.conv_alpha}
    args |= _of_type(config)
    for name in ("rank_dropout", "module_dropout"):
        if getattr(net, name):
            args[name] = getattr(net, name)
    if net.lora_plus != 1:
        args["loraplus_lr_ratio"] = net.lora_plus
    yield "network_module", module
    yield "network_dim", net.rank
    yield "network_alpha", net.alpha
    if args:
        yield "network_args", [f"{name}={value}" for name, value in args.items()]
    if net.start_from:
        yield "network_weights", net.start_from
    if family not in TEXT_AS_IT_IS:
        yield "network_train_unet_only", not config.trains_text
    if not config.trains_text:
        yield "cache_text_encoder_outputs", not config.varies_captions and not config.captions.dropout
    if family not in UNETS:
        yield "cache_latents_to_disk", config.memory.cache_latents


def _of_type(config: Config) -> dict[str, Any]:
    """Arguments that one type of network alone takes."""
    net = config.network
    args: dict[str, Any] = {}
    if net.type == "lokr":
        args["factor"] = net.factor
    for name, argument, types in (
        ("decompose_both", "decompose_both", ("lokr",)), ("full_matrix", "full_matrix", ("lokr",)),
        ("unbalanced", "unbalanced_factorization", ("lokr",)), ("tucker", "use_tucker", ("loha", "lokr")),
        ("scalar", "use_scalar", ("loha", "lokr")), ("constraint", "constraint", ("oft", "boft")),
        ("rescaled", "rescaled", ("oft", "boft")), ("dora", "dora_wd", ("lora", "locon", "loha", "lokr", "dylora")),
        ("rslora", "rs_lora", ("lora", "locon", "loha", "lokr", "glora", "dylora")),
    ):  # fmt: skip
        if net.type in types and getattr(net, name):
            args[argument] = getattr(net, name)
    return args


def _learning(config: Config) -> Iterator[tuple[str, Any]]:
    learn, opt = config.learning, config.optimizer
    yield "learning_rate", learn.unet_lr
    yield "unet_lr", learn.unet_lr
    if config.trains_text:
        second = learn.text_encoder_2_lr if config.model.family in ("sdxl", "sd3") else -1
        yield "text_encoder_lr", [learn.text_encoder_lr, second] if second >= 0 else learn.text_encoder_lr
    names = {"constant": "constant_with_warmup" if learn.warmup or learn.warmup_share else "constant"}
    if learn.schedule == "other":
        yield "lr_scheduler_type", learn.schedule_class
        yield "lr_scheduler_args", list(learn.schedule_args)
    else:
        name = names.get(learn.schedule, learn.schedule)
        yield "lr_scheduler", "cosine_with_min_lr" if name == "cosine" and learn.final else name
    if learn.schedule == "cosine_with_restarts":
        yield "lr_scheduler_num_cycles", learn.restarts
    if learn.warmup or learn.warmup_share:
        yield "lr_warmup_steps", learn.warmup or learn.warmup_share
    if learn.schedule == "warmup_stable_decay":
        yield "lr_decay_steps", learn.decay or learn.decay_share
    facts = OPTIMIZER_FACTS[opt.type]
    title = CLASSES.get(opt.type) or _TITLES.get(opt.type, facts.title)
    yield "optimizer_type", class_of(opt.kind) if opt.type == "other" else title
    args = [f"weight_decay={opt.weight_decay}"] if facts.decay else []
    if facts.betas:
        args.append(f"betas=({opt.beta1}, {opt.beta2})")
    if facts.eps:
        args.append(f"eps={opt.eps}")
    if opt.type == "adafactor":
        args += ["relative_step=False", "scale_parameter=False", "warmup_init=False"]
    args += opt.args
    if args:
        yield "optimizer_args", args


def _flow(config: Config) -> Iterator[tuple[str, Any]]:
    noise, family = config.noise, config.model.family
    if family not in FLOW:
        if noise.zero_terminal_snr == "on":
            yield "zero_terminal_snr", True
        return
    by_scheme = noise.flow_sampling in ("logit_normal", "mode") or noise.flow_weighting in ("sigma_sqrt", "cosmap")
    if by_scheme or family == "sd3":
        drawn = noise.flow_sampling if noise.flow_sampling in ("logit_normal", "mode") else noise.flow_weighting
        yield "weighting_scheme", {"bell": "none"}.get(drawn, drawn)
        yield "logit_mean", noise.flow_mean
        yield "logit_std", noise.flow_deviation
        yield "mode_scale", noise.flow_scale
        yield ("training_shift" if family == "sd3" else "discrete_flow_shift"), noise.flow_shift or 3.0
        if family != "sd3":
            yield "timestep_sampling", "sigma"
    else:
        shift = noise.flow_shift
        way = (
            "uniform"
            if noise.flow_sampling == "uniform"
            else "sigmoid"
            if shift == 1
            else "shift"
            if shift
            else "flux_shift"
        )
        yield "timestep_sampling", way
        yield "sigmoid_scale", noise.flow_scale
        if way == "shift":
            yield "discrete_flow_shift", shift
    if family != "sd3":
        yield "model_prediction_type", "raw"


def _running(config: Config) -> Iterator[tuple[str, Any]]:
    steps, saving, memory = config.steps, config.saving, config.memory
    if steps.max_steps:
        yield "max_train_steps", steps.max_steps
    else:
        yield "max_train_epochs", steps.epochs
    yield "mixed_precision", {"fp32": "no"}.get(memory.precision, memory.precision)
    yield "save_precision", _PRECISION[saving.precision]
    yield "save_model_as", "safetensors"
    if saving.state_every_epochs or saving.state_every_steps:
        yield "save_state", True
        if saving.every_epochs:
            yield "save_last_n_epochs_state", saving.keep_states * saving.every_epochs
    if saving.keep_last and saving.every_epochs:
        yield "save_last_n_epochs", saving.keep_last * saving.every_epochs
    if saving.keep_last and saving.every_steps:
        yield "save_last_n_steps", saving.keep_last * saving.every_steps
    if config.validation.mode != "off":
        yield "validation_split", config.validation.share
    if memory.base_weights == "fp8":
        yield "fp8_base", True
    if memory.streamed_blocks and config.model.family in ("flux", "chroma", "sd3"):
        yield "blocks_to_swap", min(round(memory.streamed_blocks * 2 / 3), 35)
    if config.captions.lines == "random" and config.captions.wildcards:
        yield "enable_wildcard", True
    if config.captions.tag_warmup:
        yield "token_warmup_step", config.captions.tag_warmup
    if config.model.family in UNETS:
        yield "max_token_length", config.captions.max_tokens
    if config.masks.source == "file":
        yield "masked_loss", True
    wanted = [name for name in ("tensorboard", "wandb") if getattr(config.tracking, name)]
    if wanted:
        yield "log_with", "all" if len(wanted) > 1 else wanted[0]
        yield "logging_dir", "logs"
    sampler = next(
        (name for name, ours in SAMPLERS.items() if config.samples and ours == config.samples[0].sampler), ""
    )
    if sampler and config.model.family not in FLOW:
        yield "sample_sampler", sampler
    yield "sdpa", True


def dataset_table(config: Config) -> dict[str, Any]:
    """Every folder with images as a subset of its own: sd-scripts looks into none below it.

    Raises:
        UserError: a folder cannot be read.
    """
    datasets: list[dict[str, Any]] = []
    for number, entry in enumerate(config.datasets):
        if not entry.use:
            continue
        own = settings_of(config, number)
        for data in (own.data, *own.further):
            table: dict[str, Any] = {
                "resolution": data.resolution, "batch_size": own.batch_size, "enable_bucket": data.buckets,
                "min_bucket_reso": data.bucket_min, "max_bucket_reso": data.bucket_max,
                "bucket_reso_steps": data.bucket_step, "bucket_no_upscale": not data.upscale,
            }  # fmt: skip
            words = own.captions
            common: dict[str, Any] = {
                "caption_extension": words.extensions[0] if words.extensions else ".txt",
                "shuffle_caption": words.shuffle, "keep_tokens": words.keep_tokens, "flip_aug": data.flip,
                "random_crop": data.random_crop, "caption_dropout_rate": words.dropout,
                "caption_tag_dropout_rate": words.tag_dropout, "keep_tokens_separator": words.keep_separator,
                "secondary_separator": words.secondary_separator, "caption_prefix": words.prefix,
                "caption_suffix": words.suffix, "is_reg": own.regularisation,
            }  # fmt: skip
            if config.masks.source == "alpha":
                common["alpha_mask"] = True
            common = {key: value for key, value in common.items() if value != ""}
            subsets = [{"image_dir": str(path), "num_repeats": repeats, **_tokens(words.missing, path), **common}
                       for path, repeats in _leaves(Path(entry.path), entry.repeats)]  # fmt: skip
            if subsets:
                datasets.append({**table, "subsets": subsets})
    return {"datasets": datasets}


def _tokens(missing: str, path: Path) -> dict[str, str]:
    """What an image without a caption is trained with."""
    words = missing.replace("{folder}", path.name.partition("_")[2] or path.name).strip() if missing else ""
    return {"class_tokens": words} if words else {}


def _leaves(folder: Path, repeats: int) -> Iterator[tuple[Path, int]]:
    problems: list[Problem] = []
    for found in walk(folder, repeats, problems):
        if any(Path(name).suffix.lower() in IMAGE_SUFFIXES for name in found.files):
            yield found.path, found.repeats


def prompt_line(sample: SamplePrompt, config: Config) -> str:
    """A prompt with its flags behind, as sd-scripts' files of prompts have it."""
    parts = [" ".join(sample.prompt.split())]
    if sample.negative and not is_told(config):
        parts.append("--n " + " ".join(sample.negative.split()))
    letter = "g" if is_told(config) else "l"
    parts += [f"--w {sample.width}", f"--h {sample.height}", f"--d {sample.seed}", f"--s {sample.steps}"]
    return " ".join([*parts, f"--{letter} {sample.guidance:g}"])
