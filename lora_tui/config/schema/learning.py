"""How it learns: rates, length, validation."""

from __future__ import annotations

from typing import Literal

from lora_tui.config.option import Rule, option
from lora_tui.config.schema.groups import LEARNS_TEXT, TWO_TEXTS
from lora_tui.config.schema.section import MOST_EPOCHS, MOST_STEPS, Schedule, Section
from lora_tui.text.translate import N_

_WSD = Rule(lambda c: c.learning.schedule == "warmup_stable_decay", N_("schedule is warmup_stable_decay"))

_OTHER = Rule(lambda c: c.learning.schedule == "other", N_("schedule is another one"))


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
        families=LEARNS_TEXT,
        when=Rule(lambda c: c.trains_text, N_("the text encoder is trained")),
        peers=("text_encoder_lr",),
    )
    text_encoder_2_lr: float = option(
        -1.0,
        N_("second text encoder's rate"),
        N_("Step size for the second text encoder of XL and SD3, the larger one. -1 takes that of the first, 0 none."),
        ge=-1,
        le=10,
        expert=True,
        families=TWO_TEXTS,
        when=Rule(lambda c: c.trains_text, N_("the text encoder is trained")),
        peers=("text_encoder_lr2", "learning_rate_te2"),
    )
    text_encoder_steps: int = option(
        0,
        N_("text encoder stops at step"),
        N_("The text encoders learn up to this step and stay as they are from there; 0 lets them learn to the end."),
        unit="steps",
        ge=0,
        le=MOST_STEPS,
        expert=True,
        families=LEARNS_TEXT,
        when=Rule(lambda c: c.trains_text, N_("the text encoder is trained")),
        peers=("stop_text_encoder_training", "stop_training_after"),
    )
    text_encoder_share: float = option(
        1.0,
        N_("text encoder's share"),
        N_("The share of the run in which the text encoders learn: 0.4 stops them after four tenths, 1 never."),
        gt=0.0,
        le=1.0,
        expert=True,
        families=LEARNS_TEXT,
        when=Rule(lambda c: c.trains_text, N_("the text encoder is trained")),
        peers=("train_text_encoder_frac", "stop_text_encoder_training_pct"),
    )
    schedule: Schedule = option(
        "cosine",
        N_("schedule"),
        N_(
            "How the learning rate changes over the run. Cosine falls smoothly to the end, constant stays, "
            "inverse_sqrt falls ever more slowly, rex stays high and falls late, warmup_stable_decay stays and falls "
            "in its last part. A warm-up and a rate at the end go with each."
        ),
        labels=(("other", N_("another one")),),
        peers=("lr_scheduler", "constant_with_warmup", "cosine_with_min_lr", "wsd"),
    )
    schedule_class: str = option(
        "",
        N_("its class"),
        N_("A class of schedules with dots, such as torch.optim.lr_scheduler.StepLR. It runs after the warm-up."),
        when=_OTHER,
        peers=("lr_scheduler_type",),
    )
    schedule_args: list[str] = option(
        None,
        N_("its arguments"),
        N_(
            "What it is given, as name=value: step_size=100, gamma=0.5. {steps} stands for the steps after the warm-up."
        ),
        factory=list,
        when=_OTHER,
        peers=("lr_scheduler_args",),
    )
    warmup: int = option(
        0,
        N_("warm-up"),
        N_("Steps in which the learning rate rises from zero at the start."),
        unit="steps",
        ge=0,
        le=MOST_STEPS,
        peers=("lr_warmup_steps",),
    )
    warmup_share: float = option(
        0.0,
        N_("warm-up share"),
        N_("The warm-up as a share of the run, whatever its length: 0.05 is usual, 0 leaves it to the steps above."),
        ge=0.0,
        le=0.9,
        expert=True,
        when=Rule(lambda c: c.learning.warmup == 0, N_("the warm-up is not given in steps")),
        peers=("lr_warmup_ratio", "warmup_ratio"),
    )
    decay_share: float = option(
        0.2,
        N_("decay share"),
        N_("The last share of the run, in which the rate falls: 0.1 to 0.3 are usual."),
        ge=0.0,
        le=1.0,
        when=Rule(
            lambda c: c.learning.schedule == "warmup_stable_decay" and c.learning.decay == 0,
            N_("schedule is warmup_stable_decay, and the decay is not given in steps"),
        ),
        peers=("lr_decay_steps",),
    )
    decay: int = option(
        0,
        N_("decay steps"),
        N_("The last steps of the run, in which the rate falls; 0 leaves it to the share."),
        unit="steps",
        ge=0,
        le=MOST_STEPS,
        expert=True,
        when=_WSD,
        peers=("lr_decay_steps",),
    )
    decay_shape: Literal["cosine", "linear", "sqrt"] = option(
        "cosine",
        N_("decay shape"),
        N_("How the rate falls there: smoothly, in a straight line, or steeply at first (1 less the square root)."),
        labels=(("cosine", N_("smooth")), ("linear", N_("straight")), ("sqrt", N_("steep at first"))),
        expert=True,
        when=_WSD,
        peers=("decay_type",),
    )
    timescale: int = option(
        0,
        N_("time scale"),
        N_(
            "Steps after which the rate has fallen by a factor of 0.7, after three times as many by half; 0 takes the "
            "warm-up, or a tenth of the run where there is none."
        ),
        unit="steps",
        ge=0,
        le=MOST_STEPS,
        expert=True,
        when=Rule(lambda c: c.learning.schedule == "inverse_sqrt", N_("schedule is inverse_sqrt")),
        peers=("lr_scheduler_timescale",),
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
        N_("rate at the end"),
        N_("What is left of the learning rate at the end of the schedule: 0 nothing, 0.1 a tenth."),
        ge=0.0,
        le=1.0,
        expert=True,
        when=Rule(lambda c: c.learning.schedule not in ("constant", "other"), N_("the schedule falls to an end")),
        peers=("lr_scheduler_min_lr_ratio",),
    )
    ema_decay: float = option(
        0.0,
        N_("average (EMA)"),
        N_(
            "Keeps a running average of the LoRA and saves it beside each file, with -ema in its name: steadier than "
            "the last step. The share of the old average that stays at each step: 0.99 for some hundred steps, 0.999 "
            "for thousands; 0 keeps none."
        ),
        ge=0.0,
        le=0.99999,
        expert=True,
        peers=("ema", "ema_decay", "use_ema"),
    )
    ema_in_use: bool = option(
        False,
        N_("draw with the average"),
        N_("Draw samples and measure the validation with the average instead of the last step."),
        expert=True,
        when=Rule(lambda c: c.learning.ema_decay > 0, N_("an average is kept")),
        peers=("use_ema_for_samples",),
    )


class StepSection(Section):
    """Steps"""

    epochs: int = option(
        10,
        N_("epochs"),
        N_("How often the whole dataset, repeats included, is shown."),
        ge=1,
        le=MOST_EPOCHS,
        peers=("max_train_epochs",),
    )
    max_steps: int = option(
        0,
        N_("stop at step"),
        N_("End at this step even within an epoch; 0 trains all epochs. More steps than the epochs give add epochs."),
        unit="steps",
        ge=0,
        le=MOST_STEPS,
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


_MEASURED = Rule(lambda c: c.validation.mode != "off", N_("validation is not off"))


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
    each_image: Literal["auto", "on", "off"] = option(
        "auto",
        N_("loss of each image"),
        N_(
            "Measure the loss of every image on fixed noise before the first step and after the last: it shows which "
            "images were hard to learn. Auto does so where both take less than 3% of the run."
        ),
        labels=(("auto", N_("auto (below 3% of the time)")), ("on", N_("on")), ("off", N_("off"))),
        expert=True,
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
        le=MOST_EPOCHS,
        when=Rule(lambda c: c.validation.mode != "off", N_("validation is not off")),
        peers=("validate_every_n_epochs",),
    )
    every_steps: int = option(
        0,
        N_("every steps"),
        N_("Measure after this many steps; 0 never."),
        unit="steps",
        ge=0,
        le=MOST_STEPS,
        when=Rule(lambda c: c.validation.mode != "off", N_("validation is not off")),
        peers=("validate_every_n_steps",),
    )
    keep_best: bool = option(
        False,
        N_("keep the best"),
        N_("Save the LoRA with the lowest validation loss so far, with -best in its name."),
        when=_MEASURED,
        peers=("save_best", "keep_best"),
    )
    patience: int = option(
        0,
        N_("stop after"),
        N_("End the run when so many measurements in a row were not better than the best; 0 trains to the end."),
        unit="measurements",
        ge=0,
        le=10_000,
        expert=True,
        when=_MEASURED,
        peers=("early_stopping", "patience"),
    )
    least_change: float = option(
        0.0,
        N_("better by"),
        N_("A measurement is better when it is lower by more than this share of the best: 0.01 is one percent."),
        ge=0.0,
        le=0.5,
        expert=True,
        when=Rule(
            lambda c: c.validation.mode != "off" and (c.validation.patience > 0 or c.validation.keep_best),
            N_("the best is kept or the run ends when nothing becomes better"),
        ),
        peers=("min_delta", "early_stopping_threshold"),
    )
