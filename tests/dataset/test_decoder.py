"""Images decoded in processes apart: the same pictures, and whatever a file does to them, the next one is decoded."""

from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path

import psutil
import pytest
from crashing import crash_over_images
from PIL import Image
from support import until

from lora_tui.config.schema import Config
from lora_tui.dataset import decoder as decoding
from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.check_apart import check_dataset_apart
from lora_tui.dataset.decoder import Decoder
from lora_tui.dataset.eyes import eyes_now, look_apart
from lora_tui.dataset.own_eyes import OWN_EYES
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.plan import Item, make_plan
from lora_tui.dataset.prepare.preview import preview_here
from lora_tui.dataset.scan import scan_folder
from lora_tui.errors import UserError

MakeImage = Callable[..., Path]
BLACK = (0, 0, 0)


@pytest.fixture
def decoder() -> Iterator[Decoder]:
    made = Decoder()
    yield made
    made.end()


def refused(decoder: Decoder, path: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        decoder.thumbnail(path, BLACK)
    return caught.value


def asked_while_stopped(decoder: Decoder, path: Path) -> tuple[threading.Thread, list[object]]:
    """Ask a process that stands still about an image, in a thread, whose outcome is put into the list."""
    (pid,) = decoder.pids
    os.kill(pid, signal.SIGSTOP)
    outcome: list[object] = []

    def ask() -> None:
        try:
            outcome.append(decoder.thumbnail(path, BLACK)[0].size)
        except UserError as error:
            outcome.append(error.code)

    thread = threading.Thread(target=ask)
    thread.start()
    until(lambda: not decoder._free, 10.0)  # it has been taken to be asked
    return thread, outcome


def test_all_that_is_asked_is_what_this_process_would_see(make_image: MakeImage, decoder: Decoder) -> None:
    for path in (
        make_image("turned.jpg", 900, 500, exif=_turned()),
        make_image("small.png", 40, 30),
        make_image("caf\udce9.webp", 500, 700),
    ):
        theirs, ours = decoder.thumbnail(path, (9, 8, 7)), OWN_EYES.thumbnail(path, (9, 8, 7))
        assert (theirs[0].tobytes(), theirs[0].size, theirs[1]) == (ours[0].tobytes(), ours[0].size, ours[1])
        for least, within in ((Size(30, 20), 0), (Size(2000, 2000), 0), (Size(512, 512), 512)):
            shown, own = (eyes.picture(path, BLACK, least, within) for eyes in (decoder, OWN_EYES))
            assert (shown.size, shown.tobytes()) == (own.size, own.tobytes())
        for part in (None, Box(3, 4, 20, 25)):
            assert decoder.cells(path, part) == OWN_EYES.cells(path, part)
        decoder.verify(path)
    assert len(decoder.pids) == 1


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_a_preview_of_a_preparation(make_image: MakeImage, tmp_path: Path, decoder: Decoder) -> None:
    make_image("set/a.png", 700, 500)
    options = Options(size=256, flips=True)
    (item,) = (item for item in make_plan(tmp_path / "set", options).items if isinstance(item, Item))
    theirs, ours = decoder.preview(item, options, 200), preview_here(item, options, 200)
    assert theirs.boxes == ours.boxes and len(theirs.after) == len(ours.after) == 2
    for one, other in zip((theirs.before, *theirs.after), (ours.before, *ours.after), strict=True):
        assert one.tobytes() == other.convert("RGB").tobytes()


def test_an_image_that_kills_its_decoder_is_named_once_and_the_others_are_shown(
    make_image: MakeImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoder: Decoder
) -> None:
    crash_over_images(monkeypatch, tmp_path / "hook", "lora_tui.dataset.decoder_process")
    bad, good = make_image("crash.png"), make_image("good.png")
    assert refused(decoder, bad).code == "image.crashed"
    assert decoder.thumbnail(good, BLACK)[0].size == (64, 48)
    living = decoder.pids
    assert refused(decoder, bad).code == "image.crashed"
    assert decoder.pids == living  # nothing else died over it
    os.utime(bad, ns=(1, 1))
    assert refused(decoder, bad).code == "image.crashed"
    assert decoder.pids != living  # another file now


def test_a_process_that_is_killed_in_the_middle_is_replaced_and_the_image_shown(
    make_image: MakeImage, decoder: Decoder
) -> None:
    path = make_image("a.png", 400, 300)
    decoder.verify(path)
    (pid,) = decoder.pids
    thread, outcome = asked_while_stopped(decoder, path)
    os.kill(pid, signal.SIGKILL)
    thread.join(30)
    assert outcome == [(160, 120)]
    assert pid not in decoder.pids and not psutil.pid_exists(pid)


def test_memory_is_bounded_and_what_needs_more_is_an_error_like_any_other(
    make_image: MakeImage, decoder: Decoder
) -> None:
    small, large = make_image("small.png"), make_image("large.png", 4000, 4000, compress_level=1)
    decoder.verify(small)
    (pid,) = decoder.pids
    assert resource.prlimit(pid, resource.RLIMIT_AS)[0] == 4 << 30
    bound = psutil.Process(pid).memory_info().vms + (30 << 20)
    resource.prlimit(pid, resource.RLIMIT_AS, (bound, bound))
    assert refused(decoder, large).code == "image.memory"
    assert decoder.thumbnail(small, BLACK)[0].size == (64, 48)
    assert decoder.pids == (pid,)


def test_an_image_that_takes_forever_is_given_up(
    make_image: MakeImage, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, other = make_image("a.png"), make_image("b.png")
    decoder.verify(path)
    monkeypatch.setattr(decoding, "IMAGE_SECONDS", 0.1)
    monkeypatch.setattr(decoding, "POLL_SECONDS", 0.06)
    thread, outcome = asked_while_stopped(decoder, path)
    thread.join(30)
    assert outcome == ["image.late"] and not decoder.pids
    monkeypatch.undo()
    decoder.verify(other)


def test_very_large_pictures_are_decoded_one_at_a_time(make_image: MakeImage, tmp_path: Path, decoder: Decoder) -> None:
    path = tmp_path / "wide.png"
    Image.new("1", (10_001, 5_001)).save(path)  # more than LARGE_PIXELS
    with decoder._large:
        thread, outcome = threading.Thread(target=decoder.verify, args=(path,)), [path]
        thread.start()
        until(lambda: len(decoder._free) == 1, 60.0)
        decoder.thumbnail(make_image("small.png"), BLACK)  # others go on
        assert thread.is_alive() and outcome
    thread.join(60)
    assert not thread.is_alive()


def test_when_it_ends_no_process_is_left_and_nobody_waits(make_image: MakeImage, decoder: Decoder) -> None:
    path = make_image("a.png")
    decoder.verify(path)
    (pid,) = decoder.pids
    thread, outcome = asked_while_stopped(decoder, path)
    decoder.end()
    thread.join(30)
    assert outcome == ["decoder.start"] and not psutil.pid_exists(pid)
    assert refused(decoder, path).code == "decoder.start"


def test_what_cannot_be_started_is_said(
    make_image: MakeImage, decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_image("a.png")
    for command in (["/nowhere/python"], ["/bin/false"]):
        monkeypatch.setattr(decoding, "python_command", lambda *_arguments, command=command: command)
        assert refused(decoder, path).code == "decoder.start"
    monkeypatch.undo()
    decoder.verify(path)


def test_scan_and_checks_of_few_images_look_apart_where_that_is_wanted(
    make_image: MakeImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_over_images(monkeypatch, tmp_path / "hook", "lora_tui.dataset.decoder_process")
    for name in ("a", "same", "same too"):
        make_image(f"set/{name}.png", seed=len(name[:4]), caption="x")
    short = make_image("set/short.png", 300, 300)
    short.write_bytes(short.read_bytes()[:-1000])
    spoilt = make_image("set/spoilt.png", 300, 300)
    data = bytearray(spoilt.read_bytes())
    data[60:100] = b"\xff" * 40  # within the compressed pixels
    spoilt.write_bytes(data)

    def look() -> dict[str, set[str]]:
        look_apart()
        assert isinstance(eyes_now(), Decoder)
        scan = scan_folder(tmp_path / "set")
        (tmp_path / "set" / "a.png").rename(tmp_path / "set" / "crash.png")
        scan = scan_folder(tmp_path / "set")
        found: dict[str, set[str]] = {}
        for problem in check_dataset_apart(scan, config=Config(), decode=True):
            found.setdefault(problem.code, set()).add(problem.path.stem)
        again = {problem.path.stem for problem in scan_folder(tmp_path / "set").problems}
        assert again >= {"short", "spoilt"}  # what was found is remembered
        return found

    decoding.the_decoder.cache_clear()
    try:
        found = copy_context().run(look)
    finally:
        decoding.the_decoder().end()
        decoding.the_decoder.cache_clear()
    assert found["image.crashed"] == {"crash"}
    assert found["image.damaged"] == {"short", "spoilt"}
    assert found["image.identical"] == {"same too"}
    assert eyes_now() is OWN_EYES


def test_headers_that_only_a_library_reads_are_read_apart_as_here(make_image: MakeImage, decoder: Decoder) -> None:
    for path in (
        make_image("a.bmp", 90, 50),
        make_image("a.tiff", 40, 30),
        make_image("a.avif", 64, 48),
    ):
        assert decoder.header(path) == OWN_EYES.header(path)
    nothing = make_image("no.png").with_suffix(".bmp")
    nothing.write_bytes(b"BM" + bytes(200))
    with pytest.raises(UserError) as told:
        decoder.header(nothing)
    assert told.value.code == "image.invalid"
    with pytest.raises(UserError) as told:
        decoder.header(nothing.with_name("gone.bmp"))
    assert told.value.code == "image.unreadable"
