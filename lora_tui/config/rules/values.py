"""Values that are allowed one by one but contradict each other or can hardly be meant."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lora_tui.config.fields import FieldSpec, applies, field_for, fields
from lora_tui.config.findings import Finding, error, note, warning
from lora_tui.config.mistakes import shown
from lora_tui.config.optimizers import ANY_RATE, OPTIMIZER_FACTS
from lora_tui.config.prompt_lines import has_flags, is_told
from lora_tui.config.samplers import A1111, SPACINGS, spacings_of
from lora_tui.config.schema import Config
from lora_tui.config.text_rates import text_rates_of
from lora_tui.families import facts_for
from lora_tui.text import _, plain, setting_number

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


def network(config: Config) -> Iterator[Finding]:
    """Alpha against rank, of convolutions, too."""
    network = config.network
    if not network.scaled:
        return
    pairs = [("network.alpha", network.rank, network.alpha)]
    if network.convolutions:
        pairs.append(("network.conv_alpha", network.conv_rank, network.conv_alpha))
    for place, rank, alpha in pairs:
        if alpha <= rank:
            continue
        yield warning(
            place,
            _("alpha {alpha} is above rank {rank}: every update is scaled by {scale}, like a higher rate.").format(
                alpha=f"{alpha:g}", rank=rank, scale=f"{alpha / rank:.3g}"
            ),
            _("Set alpha to {rank} or below, or lower the learning rate.").format(rank=rank),
            "network.alpha_above_rank",
        )


def learning(config: Config) -> Iterator[Finding]:
    """Learning rates that train nothing, or burn."""
    unet, texts = config.learning.unet_lr, text_rates_of(config)
    trains_text, text = config.trains_text, max(texts, default=0.0)
    yield from _text_encoders(config)
    if unet == 0 and not (trains_text and text > 0):
        yield error(
            "learning.unet_lr",
            _("Every learning rate is 0: nothing would be trained."),
            _("Set learning.unet_lr to 1e-4."),
            "learning.all_zero",
        )
        return
    if unet == 0:
        yield warning(
            "learning.unet_lr",
            _("The learning rate of the image model is 0: only the text encoder is trained."),
            _("Set learning.unet_lr to 1e-4 unless that is meant."),
            "learning.unet_zero",
        )
    if trains_text and text == 0:
        yield warning(
            "learning.text_encoder_lr",
            _("The text encoder is to be trained, but its rate is 0."),
            _("Set network.text_encoder to false (faster, less memory) or give it a rate such as 1e-5."),
            "learning.text_encoder_zero",
        )
    facts = OPTIMIZER_FACTS[config.optimizer.type]
    highest = ANY_RATE if facts.adaptive else facts.high_rate
    for key, rate in (("learning.unet_lr", unet), ("learning.text_encoder_lr", text if trains_text else 0.0)):
        if rate > highest:
            yield warning(
                key,
                _("{rate} is far above the usual 1e-4: images burn or fall apart soon.").format(
                    rate=setting_number(rate)
                ),
                _("Lower it to {rate}.").format(rate="1e-4"),
                "learning.high_rate",
            )


def _text_encoders(config: Config) -> Iterator[Finding]:
    """A second rate that is none, and an end of their learning that leaves nothing to learn."""
    learning = config.learning
    if -1 < learning.text_encoder_2_lr < 0:
        yield error(
            "learning.text_encoder_2_lr",
            _("{rate} is no learning rate.").format(rate=setting_number(learning.text_encoder_2_lr)),
            _("Use -1 for the rate of the first text encoder, or 0 and above."),
            "learning.negative_rate",
        )
    stops = learning.text_encoder_steps > 0 or learning.text_encoder_share < 1
    if stops and config.trains_text and learning.unet_lr == 0:
        yield error(
            "learning.text_encoder_steps" if learning.text_encoder_steps else "learning.text_encoder_share",
            _("Only the text encoder is trained: once it stops, nothing would be."),
            _("Set learning.unet_lr to 1e-4, or let the text encoder learn to the end."),
            "learning.text_encoder_alone",
        )


def samples(config: Config) -> Iterator[Finding]:
    """Prompts drawn during training."""
    multiple = facts_for(config.model.family).size_multiple
    usual = facts_for(config.model.family).resolution
    for number, sample in enumerate(config.samples):
        for side in ("width", "height"):
            size = getattr(sample, side)
            if size % multiple:
                yield error(
                    f"samples.{number}.{side}",
                    _("{size} px is no multiple of {multiple}.").format(size=size, multiple=multiple),
                    _("Use {lower} or {upper}.").format(
                        lower=max(size - size % multiple, multiple), upper=size - size % multiple + multiple
                    ),
                    "samples.size",
                )
        if sample.width * sample.height > 4 * usual * usual:
            yield warning(
                f"samples.{number}.width",
                _("{width} x {height} is far above the family's {usual} px: figures double and memory grows.").format(
                    width=sample.width, height=sample.height, usual=usual
                ),
                _("Stay near {usual} x {usual}.").format(usual=usual),
                "samples.large",
            )
        if sample.spacing not in (known := spacings_of(sample.sampler, config.model.family)):
            yield error(
                f"samples.{number}.spacing",
                _("{sampler} does not take the schedule type {name} here.").format(
                    sampler=A1111[sample.sampler], name=SPACINGS[sample.spacing]
                ),
                _("Use one of: {names}.").format(names=", ".join(known)),
                "samples.spacing",
            )
        if is_told(config) and sample.negative.strip():
            yield warning(
                f"samples.{number}.negative",
                _("{family} reads no negative prompt.").format(family=facts_for(config.model.family).title),
                _("Leave it empty, and say in the prompt what is to be seen."),
                "samples.negative",
            )
        if has_flags(sample.prompt):
            yield warning(
                f"samples.{number}.prompt",
                _("The flags in the prompt are drawn as words."),
                _("Type it into the form, which takes them apart, or set width, height, steps and seed themselves."),
                "samples.flags",
            )
        if not sample.prompt.strip():
            yield warning(
                f"samples.{number}.prompt",
                _("The prompt is empty."),
                _("Write what to draw, with the trigger word."),
                "samples.empty_prompt",
            )


def data(config: Config) -> Iterator[Finding]:
    """Resolution and the limits of buckets."""
    section, facts = config.data, facts_for(config.model.family)
    if not section.buckets and section.resolution % facts.size_multiple:
        yield error(
            "data.resolution",
            _("{size} px is no multiple of {multiple}.").format(size=section.resolution, multiple=facts.size_multiple),
            _("Use {size}.").format(size=max(section.resolution - section.resolution % facts.size_multiple, 64)),
            "data.resolution_multiple",
        )
    if section.buckets:
        yield from _buckets(config)
    ratio = section.resolution / facts.resolution
    if ratio > 2 or ratio < 0.5:
        yield warning(
            "data.resolution",
            _("{size} px is far from the {usual} px that {family} learned at.").format(
                size=section.resolution, usual=facts.resolution, family=facts.title
            ),
            _("Use {low} to {high} px.").format(low=facts.resolution, high=facts.resolution * 3 // 2),
            "data.resolution_far",
        )


def _buckets(config: Config) -> Iterator[Finding]:
    section = config.data
    if section.bucket_min > section.bucket_max:
        yield error(
            "data.bucket_min",
            _("The smallest side {low} px is above the largest, {high} px.").format(
                low=section.bucket_min, high=section.bucket_max
            ),
            _("Set data.bucket_min below data.bucket_max."),
            "data.bucket_limits",
        )
        return
    if not section.bucket_min <= section.resolution <= section.bucket_max:
        key = "data.bucket_min" if section.bucket_min > section.resolution else "data.bucket_max"
        yield warning(
            key,
            _("The resolution of {size} px lies outside the sides of {low} to {high} px: no square bucket.").format(
                size=section.resolution, low=section.bucket_min, high=section.bucket_max
            ),
            _("Usual are half the resolution and twice the resolution."),
            "data.bucket_outside",
        )
    step, facts = section.bucket_step, facts_for(config.model.family)
    if step % facts.size_multiple:
        yield error(
            "data.bucket_step",
            _("{family} takes images whose sides are multiples of {multiple} px, buckets of {step} px are not.").format(
                family=facts.title, multiple=facts.size_multiple, step=step
            ),
            _("Use {step}.").format(step=facts.size_multiple),
            "data.bucket_step",
        )
    down, up = max(section.bucket_min - section.bucket_min % step, step), -(-section.bucket_max // step) * step
    for key, size, taken in (
        ("data.bucket_min", section.bucket_min, down),
        ("data.bucket_max", section.bucket_max, up),
    ):
        if size != taken:
            yield note(
                key,
                _("{size} px is no multiple of the step {step}: {taken} px is taken.").format(
                    size=size, step=step, taken=taken
                ),
                "",
                "data.bucket_rounded",
            )


def memory(config: Config) -> Iterator[Finding]:
    """Device and number formats."""
    device = config.memory.device
    if not _DEVICE.fullmatch(device):
        yield error(
            "memory.device",
            _("{text} is no device.").format(text=shown(device)),
            _("Use auto, cpu, cuda, or cuda:0 for the first GPU."),
            "memory.device",
        )
    elif device == "cpu" and config.memory.precision == "fp16":
        yield warning(
            "memory.precision",
            _("fp16 on the CPU is slow and loses gradients."),
            _("Use bf16 or fp32."),
            "memory.fp16_cpu",
        )


def name(config: Config) -> Iterator[Finding]:
    """The name of the files."""
    text = config.saving.name
    if not text.strip():
        problem = _("The name is empty.")
    elif plain(text) != text or "/" in text or "\\" in text:
        problem = _("{text} cannot be a file name.").format(text=shown(text))
    elif text.startswith(".") or text != text.strip() or len(text.encode("utf-8", "replace")) > 150:
        problem = _("{text} makes no good file name.").format(text=shown(text))
    else:
        return
    yield error("saving.name", problem, _("Use letters, digits, - and _, such as hat-girl-v1."), "saving.name")


TOLD_OTHERWISE = frozenset({"model.prediction", "memory.products"})
"""Settings of which other rules say that they cannot be, where nothing would read them."""


COUNTERPARTS = {
    "noise.timesteps": "noise.flow_sampling",
    "noise.flow_sampling": "noise.timesteps",
    "captions.max_tokens": "captions.t5_tokens",
    "captions.t5_tokens": "captions.max_tokens",
}
"""What other families have in the place of a setting."""


def without_effect(config: Config) -> Iterator[Finding]:
    """Settings that were changed although nothing reads them as things are."""
    for spec in fields():
        if spec.repeated or spec.key in TOLD_OTHERWISE or applies(spec, config):
            continue
        value = getattr(getattr(config, spec.section), spec.name)
        if value != spec.default:
            yield _no_effect(spec, config)


def _no_effect(spec: FieldSpec, config: Config) -> Finding:
    title = _(spec.option.title)
    of_family = bool(spec.option.families) and config.model.family not in spec.option.families
    if of_family:
        message = _("{title} has no effect on {family}.").format(
            title=title, family=facts_for(config.model.family).title
        )
    else:
        assert spec.option.when is not None
        message = _("{title} has no effect: it counts only when {rule}.").format(
            title=title, rule=_(spec.option.when.text)
        )
    default = setting_number(spec.default) if isinstance(spec.default, float) else shown(spec.default)
    if not of_family:
        remedy = _("Set it back to {value}, or change what it depends on.").format(value=default)
    elif (other := COUNTERPARTS.get(spec.key)) and _fits(other, config.model.family):
        remedy = _("Set it back to {value}; here {other} is what you mean.").format(value=default, other=other)
    else:
        remedy = _("Set it back to {value}.").format(value=default)
    return warning(spec.key, message, remedy, "config.no_effect")


def _fits(key: str, family: str) -> bool:
    spec = field_for(key)
    return spec is not None and family in spec.option.families


RULES = (network, learning, samples, data, memory, name, without_effect)
