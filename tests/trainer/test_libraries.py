"""The trainer's process does without libraries that no training uses."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lora_tui.families import FAMILIES

PROGRAM = """
import sys
from lora_tui.trainer.libraries import leave_scipy_out
leave_scipy_out()
import lora_tui.trainer.life, diffusers, torch
for name in {families}:
    __import__(f"lora_tui.families.{{name}}.model")
from lora_tui.sampling import discrete, samplers
for name in ("DDIM", "DPMSolverMultistep", "EulerDiscrete", "EulerAncestralDiscrete", "HeunDiscrete", "UniPCMultistep",
             "KDPM2Discrete", "KDPM2AncestralDiscrete", "PNDM", "FlowMatchEulerDiscrete", "DDPM"):
    getattr(diffusers, name + "Scheduler")().set_timesteps(4)
assert "scipy" not in sys.modules, sorted(name for name in sys.modules if name.startswith("scipy"))[:3]
"""


@pytest.mark.slow
def test_every_family_and_sampler_works_without_scipy() -> None:
    program = PROGRAM.format(families=[*FAMILIES])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
