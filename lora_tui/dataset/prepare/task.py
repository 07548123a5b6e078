"""A preparation as a task in the background: what :mod:`lora_tui.tasks` calls."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.dataset.prepare.carry import WORKERS, Progress, carry_out, check_places
from lora_tui.dataset.prepare.options import options_from
from lora_tui.dataset.prepare.plan import make_plan
from lora_tui.dataset.prepare.work import known_numbers
from lora_tui.errors import UserError
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from lora_tui.dataset.problems import Problem
    from lora_tui.tasks.report import Report


def work(request: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Prepare images.

    Args:
        request: ``source`` and ``destination`` as paths, ``options`` as
            :meth:`~lora_tui.dataset.prepare.options.Options.as_dict` gives them, and ``workers`` if not two.

    Returns:
        the same as ``lora-tui dataset prepare --json`` prints.

    Raises:
        UserError: as :func:`~lora_tui.dataset.prepare.carry.carry_out`.
    """
    try:
        source, destination = Path(request["source"]), Path(request["destination"])
        options, workers = options_from(request["options"]), int(request.get("workers", WORKERS))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            _("What was asked for is not complete: {what}.").format(what=plain(str(error), limit=80)),
            code="prepare.request",
        ) from error
    check_places(source, destination)
    plan = make_plan(
        source,
        options,
        numbers=known_numbers(destination, options),
        on_progress=lambda done: report.progress("reading", done, 0),
        should_stop=report.should_stop,
    )
    for problem in plan.refused:
        report.warn(_as_error(problem))

    def tell(progress: Progress) -> None:
        report.progress("preparing", progress.done, progress.total, progress.name)

    outcome = carry_out(plan, destination, workers=workers, on_progress=tell, should_stop=report.should_stop)
    for problem in outcome.failed:
        report.warn(_as_error(problem))
    return {
        "complete": outcome.complete,
        "images": outcome.progress.total,
        "done": outcome.progress.done,
        "failed": len(outcome.failed),
        "refused": len(plan.refused),
        "left_out": len(plan.left_out),
        "report": str(outcome.report),
    }


def _as_error(problem: Problem) -> UserError:
    return UserError(problem.message, place=plain(str(problem.path)), remedy=problem.remedy, code=problem.code)
