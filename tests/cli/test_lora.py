"""``lora-tui lora info`` as a person and a script see it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lora_builders import tensors_of, write_raw, write_small
from safetensors.torch import save_file

from lora_tui.cli.main import run


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lora_tui", "lora", *map(str, arguments)], capture_output=True, text=True, timeout=60
    )


def lora(path: Path) -> Path:
    module = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    tensors = {
        f"{module}.lora_down.weight": torch.zeros(8, 32, dtype=torch.float16),
        f"{module}.lora_up.weight": torch.zeros(32, 8, dtype=torch.float16),
        f"{module}.alpha": torch.tensor(4.0, dtype=torch.float16),
    }
    tags = {"folder": {"hatgirl": 12, "1girl ": 9, "smile": 3}}
    metadata = {"ss_output_name": "hat\x1b[31m", "ss_tag_frequency": json.dumps(tags), "ss_steps": "120"}
    save_file(tensors, path, metadata=metadata)
    return path


def test_json_holds_everything(tmp_path: Path) -> None:
    file = lora(tmp_path / "hat.safetensors")
    result = command("info", file, "--json")
    assert result.returncode == 0
    data = json.loads(result.stdout)
    assert (data["file"], data["family"], data["rank"], data["alpha"], data["modules"]) == (
        str(file),
        "sd15",
        8,
        4.0,
        1,
    )
    assert data["metadata"]["ss_steps"] == "120"


def test_a_person_reads_the_figures_and_no_escape_sequences(tmp_path: Path) -> None:
    result = command("info", lora(tmp_path / "hat.safetensors"), "--metadata")
    assert result.returncode == 0
    assert "\x1b" not in result.stdout
    for text in ("sd15", "lora, kohya names", "0.5", "hatgirl (12), 1girl (9), smile (3)", "ss_steps = 120"):
        assert text in result.stdout


def test_many_files_are_a_table(tmp_path: Path) -> None:
    files = [lora(tmp_path / f"hat-{number}.safetensors") for number in range(2)]
    result = command("info", *files)
    assert result.returncode == 0
    heading, *rows = result.stdout.splitlines()
    assert heading.split() == ["file", "family", "kind", "step", "rank", "alpha", "size"]
    assert [row.split()[:6] for row in rows] == [[str(file), "sd15", "lora", "120", "8", "4"] for file in files]
    data = json.loads(command("info", *files, "--json").stdout)
    assert [one["file"] for one in data["files"]] == [str(file) for file in files]


def test_one_bad_file_among_many_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"not a model at all")
    result = command("info", lora(tmp_path / "hat.safetensors"), bad)
    assert result.returncode == 2
    assert "hat.safetensors" in result.stdout
    assert "bad.safetensors" in result.stderr


def test_what_is_no_lora_is_one_line_and_exit_2(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"not a model at all")
    result = command("info", file)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "no safetensors file" in result.stderr
    result = command("info", file, "--json")
    assert json.loads(result.stdout)["error"]["code"] == "weights.not_safetensors"


def test_it_loads_no_torch(tmp_path: Path) -> None:
    file = lora(tmp_path / "hat.safetensors")
    code = (
        "import sys; from lora_tui.cli.main import run; status = run(['lora', 'info', sys.argv[1], '--json']);"
        "bad = {'torch', 'safetensors', 'pydantic', 'textual', 'PIL'} & set(sys.modules);"
        "sys.exit(status or (10 if bad else 0))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(file)], stdout=subprocess.DEVNULL).returncode == 0


def test_what_the_metadata_tell_is_understood(tmp_path: Path) -> None:
    file = write_small(tmp_path / "a.safetensors", tensors_of(text=2))
    text = command("info", file, "--tags").stdout
    for words in (
        "modules          6: 4 image model, 2 text encoder",
        "trigger words    hatgirl",
        "base model       base.safetensors (abcd1234)",
        "training         rank 4",
        "learning rate of the image model 0.0001",
        "dataset          10_hat: 12 images x 10",
        "     12  hatgirl",
    ):
        assert words in text, words
    data = json.loads(command("info", file, "--json").stdout)
    assert data["trigger_words"] == ["hatgirl"]
    assert data["tags"] == [["hatgirl", 12], ["1girl", 9], ["smile", 3]]
    assert data["base"]["legacy_hash"] == "abcd1234"
    assert data["training"]["ss_steps"] == "120"
    assert data["dataset"]["folders"] == [{"name": "10_hat", "images": 12, "repeats": 10}]
    assert data["parts"] == {"denoiser": 4, "text_encoder": 2}


def test_ranks_that_differ_are_a_table_of_parts(tmp_path: Path) -> None:
    tensors = tensors_of(rank=8, text=0) | {
        name: one for name, one in tensors_of(rank=4, text=2).items() if name.startswith("lora_te")
    }
    text = command("info", write_small(tmp_path / "a.safetensors", tensors)).stdout
    assert "rank             8 (4), 4 (2)" in text
    assert "text encoder, attention: 2 of rank 4, alpha 2" in text


def test_hostile_metadata_are_shown_and_passed_over(tmp_path: Path) -> None:
    odd = {
        "ss_tag_frequency": '{"a": {"b\\u001b[2J": 1e999, "c": true, "d": 3}, "e": [[["f"]]], "g": 2}',
        "ss_dataset_dirs": '{"x": 7, "y": {"img_count": -1}}',
        "ss_datasets": "[" * 100_000,
        "ss_training_started_at": "1e400",
        "modelspec.trigger_phrase": "a\x1b]52;c;eA==\x07b",
    }
    result = command("info", write_small(tmp_path / "a.safetensors", metadata=odd), "--metadata", "--tags")
    assert (result.returncode, result.stderr) == (0, "")
    assert "\x1b" not in result.stdout
    assert "      3  d" in result.stdout


def test_how_much_lies_in_each_block(tmp_path: Path) -> None:
    file = write_small(tmp_path / "a.safetensors", tensors_of(text=1))
    blocks = json.loads(command("info", file, "--norms", "--json").stdout)["blocks"]
    assert blocks[0]["block"] == "BASE"
    assert sum(block["share"] for block in blocks) == pytest.approx(1)


def test_check_ends_with_3_and_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write_small(tmp_path / "good.safetensors")
    assert run(["lora", "check", str(good)]) == 0
    assert "sound" in capsys.readouterr().out
    tensors = tensors_of()
    name = next(iter(tensors))
    tensors[name].view(-1)[0] = float("nan")
    bad = write_raw(tmp_path / "bad.safetensors", tensors)
    assert run(["lora", "check", str(good), str(bad), "--json"]) == 3
    data = json.loads(capsys.readouterr().out)
    assert data["problems"] == 1
    assert "use an earlier file" in data["files"][1]["findings"][0]["remedy"]
    assert [one["file"] for one in data["files"]] == [str(good), str(bad)]
    assert data["files"][1]["findings"][0]["code"] == "number.none"
    assert run(["lora", "check", str(tmp_path / "none.safetensors")]) == 2


def test_metadata_are_shown_set_and_brought_back(tmp_path: Path) -> None:
    file = write_small(tmp_path / "a.safetensors")
    before = file.read_bytes()
    result = command(
        "metadata", file, "--set", "modelspec.title=a=b", "--unset", "ss_steps", "--trigger", "new", "--note", "later"
    )
    assert result.returncode == 0
    assert "+ modelspec.title = a=b" in result.stdout
    assert "- ss_steps = 120" in result.stdout
    shown = json.loads(command("metadata", file, "--json").stdout)["metadata"]
    assert (shown["modelspec.trigger_phrase"], shown["ss_training_comment"]) == ("new", "later")
    assert "Nothing changed" in command("metadata", file, "--note", "later").stdout
    wrong = command("metadata", file, "--set", "no sign")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    assert command("metadata", file, "--restore").returncode == 0
    assert file.read_bytes() == before
