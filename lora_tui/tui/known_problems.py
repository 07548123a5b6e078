"""What was found wrong with images, kept in sight while a change of them is looked into."""

from __future__ import annotations

import os
from pathlib import Path

from lora_tui.background import courteous
from lora_tui.dataset.problems import Problem
from lora_tui.tui.workspace import Images


def with_known(images: Images, old: Images) -> Images:
    """``images`` that are not checked yet, with what the check of ``old`` said of them, of folders and other files.

    So rows do not go and come back while a change is looked into, which would take the place of others.
    """
    from lora_tui.dataset.checks import order

    scan, before = images.scan, old.scan
    used = {image.path for image in courteous(scan.images)}
    left = {image.path for image in scan.excluded}
    were = {image.path for image in courteous((*before.images, *before.excluded))}
    said = {(problem.path, problem.code) for problem in images.problems}

    def stands(problem: Problem) -> bool:
        path = problem.path
        if (path, problem.code) in said or not used.issuperset(_images(problem, were)):
            return False
        if path in were:
            return path in used or (path in left and not problem.others)
        return os.path.lexists(path)

    kept = [problem for problem in courteous(old.problems) if stands(problem)]
    problems = tuple(sorted([*images.problems, *kept], key=order)) if kept else images.problems
    return Images.of(scan, problems, images.stamp, checked=False)


def _images(problem: Problem, were: set[Path]) -> list[Path]:
    return [path for path in problem.others if path in were]
