"""Secrets of services: from the environment, else from the keyring of the system. They are in no file of ours."""

from __future__ import annotations

import os

SERVICE = "lora-tui"
"""What keys are kept under: ``keyring set lora-tui wandb``."""


def find_key(variable: str, name: str) -> str:
    """The key in the environment variable, else what the keyring keeps for ``name``; empty where neither has it.

    A keyring that is locked, or not there, has none.
    """
    if key := os.environ.get(variable, ""):
        return key
    try:
        import keyring
    except ImportError:
        return ""
    try:
        return keyring.get_password(SERVICE, name) or ""
    except Exception:  # each system's keyring fails in its own way
        return ""
