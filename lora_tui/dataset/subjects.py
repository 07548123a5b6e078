"""Where the subjects of images are, for training that cuts around them: found once, kept by content.

Faces are found by a detector that the person names, all else by :func:`~lora_tui.dataset.prepare.subject.best_place`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.caches.store import ContentStore, key_of
from lora_tui.dataset.batches import DataPlan, PlannedImage
from lora_tui.dataset.buckets import Box, Fit, Size
from lora_tui.dataset.load import content_hash, look_at, unchanged
from lora_tui.dataset.prepare.subject import Face, best_place
from lora_tui.errors import UserError
from lora_tui.places import expand
from lora_tui.settings import cache_dir

if TYPE_CHECKING:
    from PIL.Image import Image

    from lora_tui.config.schema import DataSection

LAYOUT = 1  # version of what an entry holds
CAP_BYTES = 100_000_000  # a million images
LOOK_SIDE = 640
"""px of the longer side of the picture that is looked at: what the detector takes."""

Detector = Callable[["Image"], Sequence[Face]]
Progress = Callable[[int, int], None]  # (done, total); also the place where a search may be stopped


@dataclass(frozen=True)
class Subject:
    """``left`` and ``top``: the corner of the cut, px of the scaled image; ``faces``, the largest first, px of the
    image as it is shown.
    """

    left: int
    top: int
    faces: tuple[Box, ...] = ()


def is_sought(data: DataSection) -> bool:
    """Whether a run has to know where subjects are."""
    return (data.crop == "subject" and not data.random_crop) or data.closeups > 0


def subject_store() -> ContentStore:
    """Where what was found in images lies."""
    return ContentStore(cache_dir(), "subjects", ".json", cap=CAP_BYTES)


def with_subjects(plan: DataPlan, data: DataSection, progress: Progress) -> DataPlan:
    """``plan`` with cuts around the subjects and the faces in its images, as ``data`` asks for.

    Raises:
        UserError: the detector cannot be used.
    """
    if not is_sought(data):
        return plan
    moved = data.crop == "subject" and not data.random_crop
    store = subject_store()
    detect = _detector(data.face_detector)
    mark = content_hash(Path(expand(data.face_detector))) if data.face_detector else ""
    done, total = 0, len(plan.train) + len(plan.validation)

    def found(planned: PlannedImage) -> PlannedImage:
        nonlocal done
        progress(done, total)
        done += 1
        try:
            subject = _kept(planned, store, detect, mark)
        except UserError:  # damaged or gone: who decodes it next says so
            return planned
        fit = replace(planned.fit, crop_left=subject.left, crop_top=subject.top) if moved else planned.fit
        return replace(planned, fit=fit, faces=subject.faces)

    with store.in_use():
        train, held = tuple(map(found, plan.train)), tuple(map(found, plan.validation))
    return replace(plan, train=train, validation=held)


def _detector(model: str) -> Detector | None:
    if not model:
        return None
    from lora_tui.dataset.prepare.faces import open_detector

    return open_detector(model)


def _kept(planned: PlannedImage, store: ContentStore, detect: Detector | None, mark: str) -> Subject:
    """The subject of an image, from the store where it was found before."""
    fit = planned.fit
    with unchanged(planned.image.path):
        key = key_of("subject", LAYOUT, content_hash(planned.image.path), mark, *_numbers(fit))
        if store.has(key):
            try:
                kept = json.loads(store.path(key).read_text("utf-8"))
                return Subject(kept["left"], kept["top"], tuple(Box(*box) for box in kept["faces"]))
            except (OSError, ValueError, KeyError, TypeError):
                store.discard(key)
        subject = find(planned, detect)
    faces = [[face.left, face.top, face.right, face.bottom] for face in subject.faces]
    store.put(key, json.dumps({"left": subject.left, "top": subject.top, "faces": faces}).encode())
    return subject


def _numbers(fit: Fit) -> tuple[int, ...]:
    part = () if fit.source is None else (fit.source.left, fit.source.top, fit.source.right, fit.source.bottom)
    return (fit.resize.width, fit.resize.height, fit.bucket.width, fit.bucket.height, *part)


def find(planned: PlannedImage, detect: Detector | None) -> Subject:
    """Look for the subject of an image, and for faces where there is a detector.

    Raises:
        UserError: the image cannot be read.
    """
    image, fit = planned.image, planned.fit
    scale = min(LOOK_SIDE / max(image.width, image.height), 1.0)
    enough = Size(max(round(image.width * scale), 1), max(round(image.height * scale), 1))
    picture = look_at(image.path, enough, fit.source)[0]
    seen = sorted(detect(picture) if detect else (), key=_area, reverse=True)
    across, down = picture.width / fit.resize.width, picture.height / fit.resize.height
    kept = min(fit.bucket.width * across, picture.width), min(fit.bucket.height * down, picture.height)
    left, top = best_place(picture, kept, faces=seen)
    origin = fit.source or Box(0, 0, 0, 0)
    wide, high = image.width / picture.width, image.height / picture.height
    return Subject(
        min(max(round(left / across), 0), fit.resize.width - fit.bucket.width),
        min(max(round(top / down), 0), fit.resize.height - fit.bucket.height),
        tuple(
            Box(
                origin.left + round(face.left * wide), origin.top + round(face.top * high),
                origin.left + round(face.right * wide), origin.top + round(face.bottom * high),
            )
            for face in seen
        ),
    )  # fmt: skip


def _area(face: Face) -> float:
    return (face.right - face.left) * (face.bottom - face.top)
