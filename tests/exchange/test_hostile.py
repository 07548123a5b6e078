"""Files that are not what they claim, contradict themselves or mean harm end in one line, or in the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lora_tui.errors import UserError
from lora_tui.exchange.fate import HIDDEN, Fate
from lora_tui.exchange.importing import import_file

BOMB = "job: extension\nconfig:\n  process: []\n" + "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]\n" for n in range(1, 9)
)  # fmt: skip


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"\0\1\2" * 50, "no text"),
        (b"{", "no valid JSON"),
        (b'{"a": 1}', "no training configuration"),
        (b"a = ", "no valid TOML"),
        (b"x = 1\n", "no training configuration"),
        (b"schema_version = 1\n[model]\n", "configuration of lora-tui"),
        (b'{"LoRA_type": ' + b"[" * 5000 + b"]" * 5000 + b"}", "levels deep"),
        (b"job: x\nconfig: " + b"[" * 500 + b"]" * 500, "levels deep"),
        (b"job: x\nconfig: {process: [*a]}\n", "no valid YAML"),
        (b"job: x\nconfig: !!python/object/apply:os.system [echo]\n", "no valid YAML"),
        (b"job: x\nconfig: &a\n  process: [*a]\n", "levels deep"),
        (BOMB.encode(), "unfolds"),
        (b"accelerate launch train_network.py --network_dim '8", "quote"),
        (b"network_dim = " + b"9" * 5000, "digits"),
        (b'{"nodes": [{"type": "KSampler"}]}', "no node"),
        (b"\x40\0\0\0\0\0\0\0{" + b"x" * 70, ""),
    ],
)
def test_it_ends_in_one_line(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UserError) as caught:
        import_file(tmp_path / "a")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.toml"):
        with pytest.raises(UserError, match="cannot be read"):
            import_file(path)


def test_another_kind_than_was_said_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("network_dim = 4\n")
    with pytest.raises(UserError, match="no file of this kind"):
        import_file(tmp_path / "a", "onetrainer")
    with pytest.raises(UserError, match="no format"):
        import_file(tmp_path / "a", "wobble")
    assert import_file(tmp_path / "a", "lora-scripts").config.network.rank == 4


@pytest.mark.parametrize(
    "content",
    [
        '{"job": "x", "config": {"process": 3}}',
        '{"job": "x", "config": {"process": [{"sample": {"prompts": 1, "seed": NaN}, "network": {"conv": []}}]}}',
        '{"training_method": "LORA", "resolution": "x", "min_noising_strength": NaN, "concepts": [{"path": 3}]}',
        '{"ss_network_dim": "9999", "ss_datasets": "[[[", "ss_network_args": "3"}',
        '{"nodes": [{"type": "InitFluxLoRATraining", "widgets_values": [null, 3]}, {"type": {}}, 4]}',
        '{"LoRA_type": "LyCORIS/LoKr", "network_dim": 1e30, "stop_text_encoder_training": "x"}',
        '{"job": "x", "config": {"process": [{"datasets": 2.5}]}}',
        '{"job": "x", "config": {"process": [{"datasets": [{"folder_path": ".", "resolution": 1e308}]}]}}',
        '{"nodes": [{"type": "InitFluxLoRATraining", "widgets_values": 3}]}',
        '{"nodes": [{"type": "InitFluxLoRATraining"}, {"type": "OptimizerConfigProdigy", "widgets_values": '
        '{"a": "\\ud800"}}]}',
    ],
)
def test_values_of_a_wrong_kind_end_in_the_report(tmp_path: Path, content: str) -> None:
    (tmp_path / "a").write_text(content)
    assert import_file(tmp_path / "a").lines()


def test_secrets_and_hostile_names_are_not_shown(tmp_path: Path) -> None:
    told = {"wandb_api_key": "s3cret", "network_dim": 4, "[/x]\x1b[31m": "\x1b]0;x\x07", "huggingface_token": "t0ken"}
    (tmp_path / "a").write_text(json.dumps({"LoRA_type": "Standard", **told}))
    found = import_file(tmp_path / "a")
    text = "\n".join(found.lines()) + repr(found.rows) + found.config.model_dump_json()
    assert "s3cret" not in text and "t0ken" not in text and HIDDEN in text
    assert not any(ord(letter) < 32 for line in found.lines() for letter in line)
    assert "[/x]" in "\n".join(found.lines())


def test_contradictions_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(
        "network_dim = 4\nmax_train_epochs = 3\nmax_train_steps = 900\ncache_text_encoder_outputs = true\n"
        'network_train_unet_only = false\nnetwork_alpha = 0\ntrain_batch_size = "many"\n'
    )
    found = import_file(tmp_path / "a")
    rows = {row.key: row for row in found.rows}
    assert rows["max_train_steps"].fate is Fate.IDLE and rows["train_batch_size"].fate is Fate.UNKNOWN
    assert found.config.network.text_encoder is False and found.config.network.alpha == 4
    assert "exclude" in rows["cache_text_encoder_outputs"].note
    (tmp_path / "b").write_text('{"LoRA_type": "Standard", "seed": 1, "seed": 2}')
    assert "seed" in "".join(import_file(tmp_path / "b").notes)


def test_places_of_windows_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(
        "$pretrained_model = \"E:\\models\\x.safetensors\" # base\r\n$network_dim = 16\r\n"
        '$train_data_dir = ".\\train"\r\n', "utf-16",
    )  # fmt: skip
    (tmp_path / "train").mkdir()
    found = import_file(tmp_path / "a")
    assert found.config.datasets[0].path == str(tmp_path / "train")
    row = next(row for row in found.rows if row.key == "pretrained_model")
    assert "Windows" in row.note and found.config.model.base == "E:/models/x.safetensors"


@pytest.mark.parametrize("end", ["\\", "`", "^"])
def test_lines_that_go_on(tmp_path: Path, end: str) -> None:
    lines = [
        "accelerate launch --num_processes 2 sdxl_train_network.py",
        '--network_dim=8 --output_name "a b"',
        "--seed 3",
    ]
    (tmp_path / "a").write_text(f" {end}\n".join(lines) + "\n")
    config = import_file(tmp_path / "a").config
    assert (config.model.family, config.network.rank, config.saving.name) == ("sdxl", 8, "a b")
    assert (config.steps.seed, config.memory.processes) == (3, 2)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.lists(st.integers(), max_size=3)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    keys=st.dictionaries(
        st.sampled_from([
            "network_dim", "network_alpha", "network_args", "optimizer_args", "unet_lr", "text_encoder_lr",
            "resolution",
            "lr_warmup_steps", "sample_prompts", "train_data_dir", "clip_skip", "caption_extension", "base_weights",
            "save_last_n_epochs", "blocks_to_swap", "validation_split", "max_token_length", "gpu_ids",
            "v2", "epoch", "x",
        ]), SCALARS, max_size=8,
    ),
    shape=st.sampled_from(["kohya", "onetrainer", "ai"]),
)  # fmt: skip
def test_whatever_a_value_is_every_key_has_a_fate(tmp_path: Path, keys: dict[str, object], shape: str) -> None:
    if shape == "kohya":
        text = json.dumps({"LoRA_type": "Standard", **keys})
    elif shape == "onetrainer":
        text = json.dumps({"training_method": "LORA", **keys})
    else:
        text = yaml.safe_dump({"config": {"process": [{"train": keys, "network": keys}]}, "job": "x"})
    (tmp_path / "a").write_text(text)
    found = import_file(tmp_path / "a")
    told = {part for row in found.rows for part in row.key.split(".")}
    assert {key for key, value in keys.items() if value not in (None, "", [])} <= told
