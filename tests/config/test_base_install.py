"""Configurations are made, checked and planned where nothing but the base install is, for every family."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from PIL import Image

from lora_tui.bench.chroma_model import write_chroma_model
from lora_tui.bench.flux2_model import write_flux2_model
from lora_tui.bench.flux_model import write_flux_model
from lora_tui.bench.model import write_model
from lora_tui.bench.qwen_model import write_qwen_model
from lora_tui.bench.sd3_model import write_sd3_model
from lora_tui.bench.zimage_model import write_zimage_model
from lora_tui.config.presets import list_presets
from lora_tui.families import FAMILIES

OWN_WRITERS = {
    "flux": write_flux_model,
    "flux2": write_flux2_model,
    "sd3": write_sd3_model,
    "chroma": write_chroma_model,
    "zimage": write_zimage_model,
    "qwen": write_qwen_model,
}
#: Runs lines of commands from its standard input, and says of each how it ended and what it wrote.
PROGRAM = """
import contextlib, io, json, sys

class BaseInstall:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in absent:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
        return None

absent = set(json.loads(sys.stdin.readline())) - set(sys.modules)  # hooks of installers are there from the beginning
sys.meta_path.insert(0, BaseInstall())
from lora_tui.cli.main import run
for line in sys.stdin:
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        code = run(json.loads(line))
    print(json.dumps([code, told.getvalue()]))
print(json.dumps(sorted(absent & {name.partition('.')[0] for name in sys.modules})))
"""


def needed(distribution: str, known: set[str]) -> Iterator[str]:
    """The names of a distribution and of what it needs, without its extras, as installers spell them."""
    name = re.sub(r"[-_.]+", "-", distribution).lower()
    if name in known:
        return
    known.add(name)
    yield name
    for text in metadata.requires(distribution) or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield from needed(requirement.name, known)


def test_every_familys_usual_lora_is_made_checked_and_planned_without_torch(tmp_path: Path) -> None:
    base = set(needed("lora-tui", set()))
    installed = {module: {re.sub(r"[-_.]+", "-", name).lower() for name in names}
                 for module, names in metadata.packages_distributions().items()}  # fmt: skip
    absent = sorted(module for module, names in installed.items() if not names & base)
    assert {"torch", "diffusers", "transformers", "peft", "accelerate", "safetensors", "numpy"} <= set(absent)
    data = tmp_path / "images"
    data.mkdir()
    Image.new("RGB", (1024, 1024)).save(data / "one.png")
    (data / "one.txt").write_text("a red disc")
    commands: list[list[str]] = []
    for family in FAMILIES:
        model = tmp_path / family
        OWN_WRITERS[family](model) if family in OWN_WRITERS else write_model(model, family=family)
        file = str(tmp_path / f"{family}.toml")
        memory = next(preset.name for preset in list_presets() if preset.family == family and preset.kind == "memory")
        given = {"model.base": str(model), "model.family": family, "datasets.0.path": str(data)}
        settings = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
        commands.append(["config", "new", file, *settings, "--preset", f"{family}-character", "--preset", memory])
        commands += [["config", "check", file], ["config", "plan", file, "--json"]]
    asked = "\n".join(json.dumps(line) for line in (absent, *commands))
    result = subprocess.run(
        [sys.executable, "-I", "-c", PROGRAM], input=asked, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    *answers, loaded = map(json.loads, result.stdout.splitlines())
    for command, (code, told) in zip(commands, answers, strict=True):
        assert code == 0, (command, told)
        assert command[1] != "check" or "Ready" in told, (command, told)
    assert loaded == []
