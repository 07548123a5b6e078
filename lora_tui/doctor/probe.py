"""``python -m lora_tui.doctor.probe``: load what trains and print, as one JSON line, what it says of itself.

Runs in a process of its own, for importing torch takes seconds and can crash. Allocates nothing on a GPU, so
that a training at work there does not notice.
"""

from __future__ import annotations

import importlib
import json
from typing import Any

LIBRARIES = ("diffusers", "transformers", "peft", "accelerate", "safetensors")


def main() -> int:
    """Print the answer; a library that fails is part of it."""
    try:
        import torch
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}))
        return 0
    answer: dict[str, Any] = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "threads": torch.get_num_threads(),
        "devices": _devices(torch),
        "libraries": {name: _load(name) for name in LIBRARIES},
    }
    print(json.dumps(answer))
    return 0


def supports(capability: tuple[int, int], architectures: list[str]) -> bool:
    """Whether code built for ``architectures`` (``sm_90``, ``compute_90``) runs on a GPU of ``capability``.

    Machine code runs on later minor versions of its major version; intermediate code on everything later.
    """
    for architecture in architectures:
        kind, _, digits = architecture.partition("_")
        number = "".join(character for character in digits if character.isdigit())
        if not number:
            continue
        built = (int(number[:-1] or 0), int(number[-1]))
        if kind == "sm" and built[0] == capability[0] and built[1] <= capability[1]:
            return True
        if kind == "compute" and built <= capability:
            return True
    return False


def _devices(torch: Any) -> list[dict[str, Any]]:
    if not torch.cuda.is_available():
        return []
    architectures = torch.cuda.get_arch_list()
    found = []
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        capability = (facts.major, facts.minor)
        supported = torch.version.hip is not None or supports(capability, architectures)
        found.append({"name": facts.name, "capability": list(capability), "supported": supported})
    return found


def _load(name: str) -> str:
    """Empty when the library loads, else why it does not."""
    try:
        importlib.import_module(name)
        if name == "diffusers":
            importlib.import_module("diffusers.models")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    raise SystemExit(main())
