"""What imports what, proved in processes of their own: what is loaded counts, not what the source seems to say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "diffusers", "transformers", "peft", "accelerate", "safetensors", "numpy", "onnxruntime")
HEAVY_MODULES = re.compile(
    r"lora_tui\.(trainer|sampling|families\.\w+\.model\w*|"
    r"families\.(beneath|decoding|devices|eight_bits|loading|packed|parted|precision|quantized|recomputed|state_dicts|stored|streamed"
    r"|text_chunks|text_rows)"
    r"|weights\.(added|algebra|baking|base_reader|delta|difference|effects|fused|fused_others|lora_file|operations|ordered|reading|rounding|checking\.numbers)|tagging\.(blip|florence2|onnx_tagger|transformers_model)"
    r"|scores\.(encoder|kept|likeness|look|measures|models|recommend)|demo\.measure|bench\.(flow_loop|loops|model|train))\b"
)
"""Modules that may hold tensors; all others must import on a machine without torch."""

WATCH = """
import json, sys

class NoTrain:
    '''Makes the libraries of the extra "train" unimportable, as on a base install.'''
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {heavy!r}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)
        return None

sys.meta_path.insert(0, NoTrain())
{code}
json.dump(sorted(sys.modules), sys.stdout)
"""


def loaded_by(code: str) -> set[str]:
    """Modules that a fresh process has loaded after ``code``, on a machine without torch."""
    program = WATCH.format(heavy=HEAVY, code=code)
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, cwd="/")
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout.splitlines()[-1]))


def modules() -> list[str]:
    found = []
    for path in sorted((ROOT / "lora_tui").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] != "__main__":
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


def test_version_loads_next_to_nothing() -> None:
    loaded = loaded_by("from lora_tui.cli.main import run\nassert run(['--version']) == 0")
    assert not loaded & {"textual", "rich", "pydantic", "PIL", "psutil", "asyncio", *HEAVY}


def test_a_machine_without_torch_imports_everything_light() -> None:
    light = [name for name in modules() if not HEAVY_MODULES.match(name)]
    assert len(light) > 60
    loaded = loaded_by("\n".join(f"import {name}" for name in light))
    assert set(light) <= loaded
    assert not loaded & set(HEAVY)


def test_the_app_loads_no_torch() -> None:
    loaded = loaded_by("import lora_tui.tui.app\nfrom lora_tui.tui.app import run_app")
    assert "textual.app" in loaded
    assert not loaded & set(HEAVY)


def test_the_keeper_is_light() -> None:
    loaded = loaded_by("import lora_tui.jobs.keeper")
    assert not loaded & {"textual", "rich", "pydantic", "PIL", "asyncio", *HEAVY}


def test_the_queue_is_as_light() -> None:
    loaded = loaded_by("import lora_tui.jobs.queue.service, lora_tui.jobs.queue.starter, lora_tui.jobs.queue.door")
    assert not loaded & {"textual", "rich", "pydantic", "PIL", "asyncio", *HEAVY}


@pytest.mark.parametrize("command", ["lora", "doctor", "runs", "watch", "dataset"])
def test_commands_leave_the_app_alone(command: str) -> None:
    loaded = loaded_by(f"from lora_tui.cli.main import run\nassert run([{command!r}, '--help']) == 0")
    assert not loaded & {"textual", "rich", *HEAVY}


def test_every_room_of_the_house_is_under_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    named = set(contracts[0]["source_modules"])
    there = {f"lora_tui.{path.stem}" for path in (ROOT / "lora_tui").glob("*.py")}
    there |= {f"lora_tui.{path.parent.name}" for path in (ROOT / "lora_tui").glob("*/__init__.py")}
    assert there - named == {"lora_tui.__init__", "lora_tui.__main__", "lora_tui.tui", "lora_tui.cli"}
