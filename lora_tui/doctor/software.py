"""Python, the libraries of the base install, and those that train, asked in a process of their own."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lora_tui import __version__
from lora_tui.doctor.check import ERROR, NOTE, OK, WARNING, Check
from lora_tui.jobs.resources import PRODUCT_CAPABILITIES
from lora_tui.python import python_command
from lora_tui.text import N_, _, plain

BASE = ("textual", "pydantic", "pillow", "tomli-w", "platformdirs", "psutil", "nvidia-ml-py")
TRAIN = ("torch", "diffusers", "transformers", "peft", "accelerate", "safetensors")
OPTIONAL = {
    "tag": (N_("tagging"), ("onnxruntime", "numpy", "huggingface_hub")),
    "background": (N_("background removal"), ("rembg", "onnxruntime")),
    "graphics": (N_("terminal graphics"), ("textual-image",)),
    "trackers": ("Weights & Biases", ("wandb", "keyring")),
}
"""Extras that add something: what, and the distributions that it takes."""
PROBE_SECONDS = 180.0
OLDEST_PYTHON = (3, 11)


def base_checks() -> Iterator[Check]:
    """Python and the libraries that the app itself needs."""
    version = ".".join(map(str, sys.version_info[:3]))
    where = plain(sys.prefix)
    old = sys.version_info < OLDEST_PYTHON
    yield Check(
        "software",
        "python",
        ERROR if old else OK,
        _("Python"),
        _("{version} in {place}").format(version=version, place=where),
        _("Install Python 3.11 or newer.") if old else "",
    )
    yield Check("software", "lora-tui", OK, "lora-tui", __version__)
    missing = [name for name in BASE if version_of(name) is None]
    yield Check(
        "software",
        "libraries",
        ERROR if missing else OK,
        _("libraries"),
        _("missing: {names}").format(names=", ".join(missing)) if missing else _("all of the base install"),
        _("Install them: {command}").format(command=install_command("")) if missing else "",
    )


def optional_checks() -> Iterator[Check]:
    """The parts that can be added; each that is not there is a note with the command that adds it."""
    for extra, (title, names) in OPTIONAL.items():
        missing = [name for name in names if version_of(name) is None]
        told = _("not installed: {names}").format(names=", ".join(missing))
        versions = ", ".join(f"{name} {version_of(name)}" for name in names)
        remedy = _("Install it with: {command}").format(command=install_command(extra)) if missing else ""
        yield Check("software", extra, NOTE if missing else OK, _(title), told if missing else versions, remedy)


def training_checks(*, gpus: int) -> Iterator[Check]:
    """The libraries that train; ``gpus`` is how many GPUs the driver shows."""
    missing = [name for name in TRAIN if version_of(name) is None]
    if missing:
        yield Check(
            "training",
            "train",
            NOTE,
            _("training"),
            _("not installed: {names}").format(names=", ".join(missing)),
            _("To train on this machine: {command}").format(command=install_command("train")),
        )
        return
    told = probe_torch()
    if "error" in told:
        yield Check(
            "training",
            "torch",
            ERROR,
            "torch",
            _("it is installed and does not load: {reason}").format(reason=plain(str(told["error"]), limit=300)),
            _("Install it anew: {command}").format(command=install_command("train")),
        )
        return
    yield _torch_check(told, gpus)
    yield from _library_checks(told)


def probe_torch() -> dict[str, Any]:
    """What ``lora_tui.doctor.probe`` says in a process of its own; ``error`` when it fails."""
    command = python_command("-m", "lora_tui.doctor.probe")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    try:
        result = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_SECONDS,
            check=False,
        )
        answer = json.loads(result.stdout.splitlines()[-1]) if result.stdout.strip() else None
    except subprocess.TimeoutExpired:
        return {"error": _("no answer within {seconds:.0f} seconds").format(seconds=PROBE_SECONDS)}
    except (OSError, ValueError) as error:
        return {"error": str(error)}
    if not isinstance(answer, dict):
        lines = result.stderr.strip().splitlines()
        return {"error": lines[-1] if lines else _("exit status {status}").format(status=result.returncode)}
    return answer


def version_of(distribution: str) -> str | None:
    """The installed version of a distribution; none when it is not there."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def install_command(extra: str) -> str:
    """The command that adds ``extra`` (or repairs the base when empty), fitting how this was installed."""
    name = f"'lora-tui[{extra}]'" if extra else "lora-tui"
    prefix = Path(sys.prefix)
    if "pipx" in prefix.parts:
        return f"pipx install --force {name}"
    if "uv" in prefix.parts and "tools" in prefix.parts:
        return f"uv tool install --force {name}"
    if importlib.util.find_spec("pip") is None:
        return f"uv pip install --python {sys.executable} {name}"
    return f"{sys.executable} -m pip install {name}"


def _torch_check(told: dict[str, Any], gpus: int) -> Check:
    text = plain(str(told.get("torch")))
    devices = told.get("devices") or []
    unsupported = [str(device["name"]) for device in devices if not device.get("supported")]
    if told.get("cuda"):
        text += ", CUDA " + plain(str(told["cuda"]))
    elif told.get("hip"):
        text += ", ROCm " + plain(str(told["hip"]))
    else:
        text += ", " + _("for the CPU only")
    if gpus and not devices:
        return Check(
            "training",
            "torch",
            ERROR,
            "torch",
            _("{version}: it does not see the GPU of this machine").format(version=text),
            _("Install a build of torch for CUDA, or a newer driver; see the table on pytorch.org."),
        )
    if unsupported:
        return Check(
            "training",
            "torch",
            ERROR,
            "torch",
            _("{version}: built without code for {names}").format(version=text, names=plain(", ".join(unsupported))),
            _("Install a build of torch that supports this GPU."),
        )
    if devices and not told.get("hip"):
        able = [f"{device['name']} ({', '.join(kinds)})" for device in devices if (kinds := _products_of(device))]
        text += "; " + _("products in 8 bits: {names}").format(names=plain(", ".join(able)) or _("none"))
    return Check("training", "torch", OK, "torch", text)


def _products_of(device: dict[str, Any]) -> list[str]:
    """What a base is to be kept in so that this card multiplies it in 8 bits."""
    has = tuple(device.get("capability") or ())
    return [kind for kind, least in PRODUCT_CAPABILITIES.items() if has >= least]


def _library_checks(told: dict[str, Any]) -> Iterator[Check]:
    libraries = told.get("libraries") or {}
    versions = ", ".join(f"{name} {version_of(name)}" for name in libraries)
    broken = {name: str(error) for name, error in libraries.items() if error}
    for name, error in broken.items():
        yield Check(
            "training",
            name,
            ERROR,
            name,
            _("it is installed and does not load: {reason}").format(reason=plain(error, limit=300)),
            _("Versions may not fit each other: {command}").format(command=install_command("train")),
        )
    if not broken:
        yield Check("training", "libraries", OK, _("libraries"), versions)
    free = told.get("threads")
    if isinstance(free, int) and free < (os.cpu_count() or 1) // 4:
        yield Check(
            "training",
            "threads",
            WARNING,
            _("CPU threads"),
            _("torch would use {threads} of {cores}").format(threads=free, cores=os.cpu_count()),
            _("OMP_NUM_THREADS in the environment limits it; unset it unless that is meant."),
        )
