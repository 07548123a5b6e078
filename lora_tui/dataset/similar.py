"""Near-duplicates: images that show nearly the same picture, so that validation never sees a trained one.

A fingerprint is the picture, or the part of it that a person chose, as 17 x 16 grey cells, a byte more that tells how
sharp it is, and one that tells whether a pixel of it is not opaque. Two pictures are near-duplicates when few of the
comparisons between neighbouring cells differ (difference hash, 256 bits) and the cells also correlate strongly; the
second test keeps figures apart that merely share a plain background.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from lora_tui.dataset.blur import sharpness
from lora_tui.dataset.eyes import Eyes, eyes_now
from lora_tui.dataset.fingerprints import FingerprintStore
from lora_tui.dataset.scan import DatasetImage, Progress, Stop
from lora_tui.dataset.verdicts import remember_damage
from lora_tui.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

COLUMNS, ROWS = 17, 16
CELLS = COLUMNS * ROWS
SHARP, CLEAR = CELLS, CELLS + 1
"""Where a fingerprint says how sharp the picture is, and whether it is transparent somewhere."""
BITS = (COLUMNS - 1) * ROWS
#: Bits that may differ; re-encoding and resizing change under 10, different pictures differ in about 100.
MAX_DISTANCE = 20
MIN_CORRELATION = 0.95
#: Grey levels by which a cell must be brighter than its neighbour to count, so that noise does not.
NOISE = 1

_NOISIER = bytes(min(level + NOISE, 255) for level in range(256))
_DIGITS = b"01" + bytes(254)
_NEIGHBOURS = CELLS - 1
"""Differences between neighbours, those of rows' ends included."""
_GUARDS = b"\0\1" * _NEIGHBOURS
_ONES = int.from_bytes(b"\1\0" * _NEIGHBOURS, "little")
_CHUNK = 64
_LARGEST_BLOCK = 64


def image_groups(
    images: Sequence[DatasetImage], on_progress: Progress | None = None, should_stop: Stop | None = None
) -> dict[str, int]:
    """A group number for each image by uid; near-duplicates share one, others stand alone.

    Decodes each image once; fingerprints are kept on disk by path, size and time of change. An image that
    cannot be decoded stands alone. The numbers depend on the set of images only, not on its order.

    Args:
        on_progress: called with the number of images done.
        should_stop: asked now and then; once it says yes, the images not looked at yet stand alone.
    """
    return group(images, fingerprints(images, on_progress, should_stop))


def group(images: Sequence[DatasetImage], prints: Sequence[bytes | None]) -> dict[str, int]:
    """Group numbers by uid from fingerprints, one for each image; images without one stand alone."""
    known = sorted(zip(images, prints, strict=True), key=lambda pair: pair[0].uid)
    parent = list(range(len(known)))
    _join_near([cells and cells[:CELLS] for _image, cells in known], parent)
    numbers: dict[int, int] = {}
    return {
        image.uid: numbers.setdefault(_root(parent, index), len(numbers)) for index, (image, _cells) in enumerate(known)
    }


def fingerprint(image: DatasetImage, eyes: Eyes) -> bytes | None:
    """What :func:`cells_of` says of an image; none when it cannot be decoded."""
    try:
        return eyes.cells(image.path, image.crop)
    except UserError as error:
        remember_damage(image.path, image.facts, error)
        return None


def cells_of(upright: Image, clear: bool) -> bytes:
    """The picture as 17 x 16 grey cells, row after row, then what :data:`SHARP` and :data:`CLEAR` are the places of.

    Args:
        upright: RGB, its longer side not far above :data:`~lora_tui.dataset.blur.SIDE` px.
        clear: whether any pixel of it is not fully opaque.
    """
    from PIL.Image import Resampling

    cells = upright.convert("L").resize((COLUMNS, ROWS), Resampling.BOX).tobytes()
    return cells + bytes((sharpness(upright), clear))


def difference_hash(cells: bytes) -> int:
    """256 bits: whether each cell is darker than the one to its right."""
    # All differences at once: numbers of two bytes side by side, of which the second says whether nothing was borrowed.
    right, left = bytearray(_GUARDS), bytearray(2 * _NEIGHBOURS)
    right[::2], left[::2] = cells[1:CELLS], cells.translate(_NOISIER)[: CELLS - 1]
    differences = int.from_bytes(right, "little") - int.from_bytes(left, "little") - _ONES
    brighter = bytearray(differences.to_bytes(2 * _NEIGHBOURS, "little")[1::2])
    del brighter[COLUMNS - 1 :: COLUMNS]  # the first of a row is no neighbour of the last before it
    return int(brighter.translate(_DIGITS), 2)


def close(first: int, second: int) -> bool:
    """Whether few bits differ, both in number and against the edges that the two pictures have at all."""
    differ = (first ^ second).bit_count()
    return differ <= MAX_DISTANCE and 4 * differ <= (first | second).bit_count() + 16


def correlation(first: bytes, second: bytes) -> float:
    """Pearson correlation of two fingerprints; 1 for two flat pictures of nearly one grey, else 0 when one is flat."""
    count = len(first)
    mean_first, mean_second = sum(first) / count, sum(second) / count
    across = sum((a - mean_first) * (b - mean_second) for a, b in zip(first, second, strict=True))
    spread_first = sum((a - mean_first) ** 2 for a in first)
    spread_second = sum((b - mean_second) ** 2 for b in second)
    if spread_first < count and spread_second < count:
        return 1.0 if abs(mean_first - mean_second) < 8 else 0.0
    spread = (spread_first * spread_second) ** 0.5
    return float(across / spread) if spread else 0.0


def mirror_images(prints: Sequence[bytes | None], places: Sequence[int]) -> dict[int, list[int]]:
    """For those of ``places`` that have some: the places of fingerprints that show the same picture mirrored."""
    hashes = {place: difference_hash(cells[:CELLS]) for place, cells in enumerate(prints) if cells is not None}
    turned = {place: _mirrored(cells[:CELLS]) for place in places if (cells := prints[place]) is not None}
    wanted = {place: difference_hash(cells) for place, cells in turned.items()}
    found: defaultdict[int, list[int]] = defaultdict(list)
    for band in _bands() if wanted else ():
        together: defaultdict[int, list[int]] = defaultdict(list)
        for place, bits in hashes.items():
            together[bits & band].append(place)
        for place, bits in wanted.items():
            for other in together.get(bits & band, ())[:_LARGEST_BLOCK]:
                if other == place or other in found[place] or not close(bits, hashes[other]):
                    continue
                cells = prints[other]
                if cells is not None and correlation(turned[place], cells[:CELLS]) >= MIN_CORRELATION:
                    found[place].append(other)
    return {place: sorted(others) for place, others in sorted(found.items()) if others}


def _mirrored(cells: bytes) -> bytes:
    return b"".join(cells[row * COLUMNS : (row + 1) * COLUMNS][::-1] for row in range(ROWS))


def _bands() -> list[int]:
    """Masks of bits; two hashes within the distance agree in at least one of them."""
    return [sum(1 << bit for bit in range(start, BITS, MAX_DISTANCE + 1)) for start in range(MAX_DISTANCE + 1)]


def fingerprints(
    images: Sequence[DatasetImage], on_progress: Progress | None = None, should_stop: Stop | None = None
) -> list[bytes | None]:
    """The fingerprint of each image; none for one that cannot be decoded or was not reached.

    Arguments as for :func:`image_groups`.
    """
    eyes = eyes_now()
    look = partial(fingerprint, eyes=eyes)
    with FingerprintStore() as store:
        found = store.get_many(images)
        missing = [index for index, data in enumerate(found) if data is None]
        done = len(images) - len(missing)
        if on_progress is not None:
            on_progress(done)
        with ThreadPoolExecutor(max_workers=eyes.at_once) as pool:
            for start in range(0, len(missing), _CHUNK):
                if should_stop is not None and should_stop():
                    break
                chunk = missing[start : start + _CHUNK]
                fresh = list(pool.map(look, [images[index] for index in chunk]))
                for index, data in zip(chunk, fresh, strict=True):
                    found[index] = data
                store.put_many((images[index], data) for index, data in zip(chunk, fresh, strict=True) if data)
                done += len(chunk)
                if on_progress is not None:
                    on_progress(done)
    return found


def _join_near(prints: Sequence[bytes | None], parent: list[int]) -> None:
    """Join the indices of near-duplicates in ``parent``, a forest of indices."""
    first: dict[bytes, int] = {}
    for index, cells in enumerate(prints):
        if cells is not None:
            known = first.setdefault(cells, index)
            if known != index:
                _join(parent, known, index)
    hashes = {index: difference_hash(cells) for cells, index in first.items()}
    for left, right in _candidates(hashes):
        if _root(parent, left) == _root(parent, right) or not close(hashes[left], hashes[right]):
            continue
        one, other = prints[left], prints[right]
        if one is not None and other is not None and correlation(one, other) >= MIN_CORRELATION:
            _join(parent, left, right)


def _candidates(hashes: dict[int, int]) -> Iterator[tuple[int, int]]:
    """Pairs within MAX_DISTANCE, each of which agrees in at least one of MAX_DISTANCE + 1 bands.

    Where very many hashes agree in a band (plain backgrounds), further bands must agree, too, so that the
    number of pairs stays in proportion to the number of images; a pair may then be missed, or come twice.
    """
    bands = _bands()
    for number in range(len(bands)):
        order = bands[number:] + bands[:number]
        for block in _blocks(list(hashes), hashes, order):
            # Most pairs are none: hundreds of thousands for ten thousand images.
            values = [hashes[index] for index in block]
            for place, one in enumerate(values[1:], 1):
                for other in range(place):
                    if (one ^ values[other]).bit_count() <= MAX_DISTANCE:
                        yield block[other], block[place]


def _blocks(members: list[int], hashes: dict[int, int], bands: Sequence[int]) -> Iterator[list[int]]:
    """The members that agree in the first band; a block that is too large is divided by the next band, and so on."""
    if not bands:
        members.sort(key=lambda index: hashes[index])
        for start in range(0, len(members), _LARGEST_BLOCK // 2):
            yield members[start : start + _LARGEST_BLOCK]
        return
    together: defaultdict[int, list[int]] = defaultdict(list)
    for index in members:
        together[hashes[index] & bands[0]].append(index)
    for block in together.values():
        if len(block) > _LARGEST_BLOCK:
            yield from _blocks(block, hashes, bands[1:])
        elif len(block) > 1:
            yield block


def _root(parent: list[int], index: int) -> int:
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = parent[index]
    return index


def _join(parent: list[int], left: int, right: int) -> None:
    one, other = _root(parent, left), _root(parent, right)
    parent[max(one, other)] = min(one, other)
