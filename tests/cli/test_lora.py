"""``lora-tui lora info`` as a person and a script see it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file


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
