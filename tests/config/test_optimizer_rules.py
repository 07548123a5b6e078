"""What a check says of an optimizer before anything is loaded."""

import pytest
from config_samples import config_with

from lora_tui.config.optimizers import OPTIMIZER_FACTS
from lora_tui.config.validate import check_config


def found(**sections) -> dict[str, tuple[str, str]]:
    """Code -> severity and field, of what is said of optimizer and rates."""
    config = config_with(memory={"device": "cpu"}, **sections)
    return {
        one.code: (one.severity, one.field)
        for one in check_config(config)
        if one.code.startswith(("optimizer.", "library.", "learning.")) or one.field.startswith("optimizer.")
    }


ONES = {"unet_lr": 1.0, "text_encoder_lr": 1.0}


@pytest.mark.parametrize(
    ("sections", "code", "severity", "field"),
    [
        ({"optimizer": {"type": "adamw8bit"}}, "optimizer.needs_cuda", "error", "optimizer.type"),
        ({"optimizer": {"type": "other"}}, "optimizer.kind", "error", "optimizer.kind"),
        ({"optimizer": {"type": "other", "kind": "Nonesuch"}}, "optimizer.kind", "error", "optimizer.kind"),
        ({"optimizer": {"type": "other", "kind": "torch.optim.No"}}, "optimizer.kind", "error", "optimizer.kind"),
        ({"optimizer": {"type": "other", "kind": "nolib.Fancy"}}, "library.missing", "error", "optimizer.kind"),
        ({"learning": {"schedule": "other"}}, "learning.schedule_class", "error", "learning.schedule_class"),
        (
            {"learning": {"schedule": "other", "schedule_class": "nolib.Fancy"}},
            "library.missing",
            "error",
            "learning.schedule_class",
        ),
        (
            {"learning": {"schedule": "other", "schedule_class": "torch.optim.lr_scheduler.StepLR"}},
            "learning.schedule_args",
            "error",
            "learning.schedule_args",
        ),
        (
            {
                "learning": {
                    "schedule": "other",
                    "schedule_class": "torch.optim.lr_scheduler.ExponentialLR",
                    "schedule_args": ["gamma=0.9", "color=1"],
                }
            },
            "learning.schedule_args",
            "error",
            "learning.schedule_args",
        ),
        ({"optimizer": {"args": ["d_coef=2"]}}, "optimizer.args", "error", "optimizer.args"),
        ({"optimizer": {"args": ["lr=2"]}}, "optimizer.args", "error", "optimizer.args"),
        ({"optimizer": {"args": ["amsgrad"]}}, "optimizer.args", "error", "optimizer.args"),
        ({"optimizer": {"type": "lion", "args": ["cautoius=True"]}}, "optimizer.args", "error", "optimizer.args"),
        ({"optimizer": {"type": "prodigy"}}, "optimizer.needs_rate", "error", "learning.unet_lr"),
        (
            {"optimizer": {"type": "prodigy"}, "learning": {"unet_lr": 1.0}},
            "optimizer.one_rate",
            "error",
            "learning.text_encoder_lr",
        ),
        (
            {"optimizer": {"type": "dadapt_adam"}, "learning": {"unet_lr": 0.05, "text_encoder_lr": 0.05}},
            "optimizer.odd_rate",
            "warning",
            "learning.unet_lr",
        ),
        ({"optimizer": {"type": "adamw_schedulefree"}}, "optimizer.own_schedule", "error", "learning.schedule"),
        ({"optimizer": {"type": "lion", "beta1": 0.8}}, "config.no_effect", "warning", "optimizer.beta1"),
        (
            {"optimizer": {"type": "lion"}, "learning": {"unet_lr": 5e-4}},
            "learning.high_rate",
            "warning",
            "learning.unet_lr",
        ),
    ],
)
def test_each_mistake_is_named_with_its_field(sections, code, severity, field):
    assert found(**sections)[code] == (severity, field)


@pytest.mark.parametrize("name", [name for name, facts in OPTIMIZER_FACTS.items() if not facts.cuda])
def test_one_with_the_rates_that_it_wants_has_nothing_said_against_it(name):
    facts = OPTIMIZER_FACTS[name]
    learning = {**(ONES if facts.adaptive else {}), **({"schedule": "constant"} if facts.averages else {})}
    kind = {"kind": "torch.optim.RAdam"} if name == "other" else {}
    assert found(optimizer={"type": name, **kind}, learning=learning) == {}


@pytest.mark.parametrize(
    ("sections", "code", "field"),
    [
        ({"network": {"lora_plus": 16.0}, "optimizer": {"type": "prodigy"}}, "network.one_rate", "network.lora_plus"),
        (
            {"network": {"max_norm": 1.0}, "optimizer": {"type": "adamw_schedulefree"}},
            "network.norm_of_average",
            "network.max_norm",
        ),
        ({"network": {"layers": ["unet.* rang=3"]}}, "network.layers", "network.layers"),
        ({"network": {"layers": ["unet.nowhere.* rank=3"]}}, "network.layers_unmatched", "network.layers"),
        ({"network": {"layers": ["* rate=0"]}}, "network.layers_none", "network.layers"),
        (
            {"network": {"layers": ["unet.* rate=0.5"]}, "optimizer": {"type": "prodigy"}},
            "network.one_rate",
            "network.layers",
        ),
        ({"network": {"dora": True, "dropout": 0.1}}, "network.not_with_dora", "network.dropout"),
        ({"network": {"dropout": 0.9}}, "network.high_dropout", "network.dropout"),
        ({"network": {"start_from": "/nowhere/a.safetensors"}}, "network.start_missing", "network.start_from"),
        (
            {"learning": {"ema_decay": 0.9}, "optimizer": {"type": "adamw_schedulefree"}},
            "learning.two_averages",
            "learning.ema_decay",
        ),
    ],
)
def test_what_does_not_go_together_is_named_with_its_field(sections, code, field):
    assert (code, field) in {(one.code, one.field) for one in check_config(config_with(**sections))}


def test_a_file_of_another_rank_is_named_before_the_run(tmp_path):
    import torch

    from lora_tui.weights.lora_file import write_lora

    path = tmp_path / "old.safetensors"
    stem = "lora_unet_mid_block_attentions_0_proj_in"
    tensors = {
        f"{stem}.lora_down.weight": torch.ones(8, 4, 1, 1),
        f"{stem}.lora_up.weight": torch.ones(4, 8, 1, 1),
        f"{stem}.alpha": torch.tensor(8.0),
    }
    write_lora(path, tensors, {})

    def codes(**network):
        return {one.code for one in check_config(config_with(network={"start_from": str(path), **network}))}

    assert "network.start_rank" in codes(rank=32)
    assert not {code for code in codes(rank=8) if code.startswith("network.start")}
    path.write_bytes(b"no LoRA")
    assert "network.start_unreadable" in codes(rank=8)


def test_arguments_that_a_class_names_are_taken():
    assert found(optimizer={"type": "lion", "args": ["cautious=True"]}) == {}
    assert found(optimizer={"type": "prodigy", "args": ["d_coef=2", "d0=1e-5"]}, learning=ONES) == {}
    assert found(optimizer={"type": "other", "kind": "adopt", "args": ["betas=(0.9", "0.999)"]}) == {}


@pytest.mark.parametrize(
    ("kind", "args", "told"),
    [
        ("adamw", "betas=0.5", "betas of AdamW must be 2 numbers from 0 to below 1, not 0.5."),
        ("adamw", "betas=(0.9, 0.999, 0.5)", "2 numbers from 0 to below 1"),
        ("adamw", "betas=(0.9, 1)", "2 numbers from 0 to below 1"),
        ("adamw", "eps=nan", "eps of AdamW must be a number of 0 or more"),
        ("adamw", "weight_decay=1e999", "a number of 0 or more"),
        ("adamw", "amsgrad=often", "amsgrad of AdamW must be true or false"),
        ("adamw", "foreach=3", "true or false"),
        ("adamw", "differentiable=True", "AdamW cannot learn with differentiable=true: nobody asks"),
        ("adamw", "foreach=True", "fused"),
        ("adamw", "maximize=True", "grow"),
        ("prodigy", "d_coef=0", "d_coef of Prodigy must be a number above 0"),
        ("adafactor", "eps=1e-8", "eps of Adafactor must be 2 numbers of 0 or more"),
        ("adafactor", "relative_step=True", "a rate of its own"),
        ("adafactor", "warmup_init=True", "relative_step"),
        ("sgd", "momentum=0", "needs a momentum"),
        ("came", "betas=(0.9, 0.99)", "3 numbers from 0 to below 1"),
        ("other", "r=much", "r of ScheduleFreeAdamW must be a finite number"),
    ],
)
def test_a_value_that_an_argument_cannot_have_is_refused(kind, args, told):
    named = {"kind": "ScheduleFreeAdamW"} if kind == "other" else {}
    config = config_with(optimizer={"type": kind, "args": [args], **named}, learning=ONES if kind == "prodigy" else {})
    (said,) = [one for one in check_config(config) if one.field == "optimizer.args"]
    assert (said.severity, told in said.message) == ("error", True), said.message


@pytest.mark.parametrize(
    ("kind", "args"),
    [
        ("adamw", ["betas=(0.8", "0.9)", "eps=0", "foreach=True", "fused=False", "amsgrad=1"]),
        ("adafactor", ["eps=(1e-20", "1e-2)", "decay_rate=-0.5", "beta1=0.9"]),
        ("prodigy", ["beta3=0.9", "growth_rate=1.02", "safeguard_warmup=True"]),
        ("lion", ["use_gc=True", "r=0.9"]),
        ("torch.optim.RAdam", ["betas=7"]),  # what a class of anybody means is its own business
    ],
)
def test_values_that_fit_are_taken(kind, args):
    named = {"type": "other", "kind": kind} if "." in kind else {"type": kind}
    config = config_with(optimizer={**named, "args": args}, learning=ONES if kind == "prodigy" else {})
    assert not [one for one in check_config(config) if one.code.startswith("optimizer.arg_")]


def test_other_optimizers_take_other_memory():
    from config_samples import plan_of, squares

    from lora_tui.config.estimate import disk_parts, memory_parts

    def parts(name):
        config = config_with(optimizer={"type": name})
        plan = plan_of(config, squares(4))
        return memory_parts(config, plan), disk_parts(config, plan, checkpoints=1, states=1, drawn=0)

    (adam, states), (lion, small), (prodigy, large) = parts("adamw"), parts("lion"), parts("prodigy")
    assert adam["optimizer"] == 2 * adam["adapter"] == 2 * lion["optimizer"]
    assert prodigy["optimizer"] == 4 * prodigy["adapter"]
    assert small["states"] < states["states"] < large["states"]
