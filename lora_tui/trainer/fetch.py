"""A base model that is named by its place on the hub: fetched before anything loads, with how far it is."""

from __future__ import annotations

from lora_tui.families import fetch_model
from lora_tui.trainer.session import Phase, Session


def fetch_base(session: Session) -> None:
    """Put what the configuration names on the hub into its cache; nothing happens where all of it is there.

    Raises:
        UserError: it cannot be fetched.
        StopRun: a stop was asked for; what was fetched is kept.
    """
    phases: list[Phase] = []

    def tell(done: int, total: int, detail: str) -> None:
        if not phases:
            phases.append(session.phase("fetching", detail))
        phases[0](done, total, detail)

    fetch_model(session.config.model, tell)
