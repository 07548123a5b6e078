"""A whole tagging: one transaction that can be taken back, answers that are kept, and all that gets in between."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from caption_folders import contents, edit, opened
from crashing import crash_over_images
from PIL import Image
from support import until
from tagger_builders import TAGS, make_images, make_wd14

from lora_tui.captions.history import blame
from lora_tui.captions.journal.log import Journal, home_of
from lora_tui.captions.provenance import Provenance
from lora_tui.captions.query.facts import Context
from lora_tui.captions.query.query import parse_query
from lora_tui.captions.transaction import Session
from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.notes import Crop, change_notes
from lora_tui.errors import UserError
from lora_tui.tagging.filter_scores import FilterScores
from lora_tui.tagging.hub import StoppedError
from lora_tui.tagging.request import ModelChoice, Request
from lora_tui.tagging.rules import Rules, Thresholds
from lora_tui.tagging.run import Outcome, score_table, tag_dataset

RED = "red theme, saber (fate), 1girl, long hair"


@pytest.fixture
def wd(tmp_path: Path) -> Path:
    return make_wd14(tmp_path / "models" / "wd-tiny")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_images(tmp_path / "data", {"blue": "blue", "green.jpg": "lime", "sub/red": "red"})


def asked(*models: Path, **options: Any) -> Request:
    chosen = tuple(ModelChoice("wd14", str(model)) for model in models)
    return Request(chosen, **{"device": "cpu", "threads": 1, **options})


def tagged(data: Path, request: Request, **options: Any) -> Outcome:
    session = opened(data)
    try:
        return tag_dataset(session, range(len(session.corpus.entries)), request, **options)
    finally:
        session.close()


def texts(data: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted(data.rglob("*.txt"))}


def workers() -> list[psutil.Process]:
    """The processes of taggers that this one has."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if "lora_tui.tagging.worker" in child.cmdline():
                found.append(child)
        except psutil.Error:
            continue
    return found


def test_one_transaction_that_is_taken_back_whole(data: Path, wd: Path) -> None:
    (data / "blue.txt").write_text("mine")
    before = contents(data)
    outcome = tagged(data, asked(wd, existing="append"), scope="all")
    assert texts(data) == {"blue": "mine, blue theme, 1girl", "green": "1girl, ^_^", "red": RED}
    (record,) = Journal(home_of(data)).records()
    assert (record.author, record.operation, record.scope) == ("tagger:wd-tiny", "tag wd-tiny append", "all")
    assert record.files == 3
    assert (outcome.wanted, outcome.skipped, outcome.failed) == (3, 0, {})
    origins = {one.tag: one.record and one.record.author for one in blame(Journal(home_of(data)), "blue.txt",
               texts(data)["blue"], opened(data).corpus.profile)}  # fmt: skip
    assert origins == {"mine": None, "blue theme": "tagger:wd-tiny", "1girl": "tagger:wd-tiny"}
    session = opened(data)
    session.undo()
    session.close()
    assert contents(data) == before


def test_filters_know_who_wrote_and_what_was_thought(data: Path, wd: Path) -> None:
    other = make_wd14(wd.parent / "other")
    tagged(data, asked(wd, other))
    session = opened(data)
    names = [entry.name for entry in session.corpus.entries]
    context = Context(history=Provenance(session), scores=FilterScores(session.corpus))

    def found(query: str) -> list[str]:
        return [names[number] for number in parse_query(query).select(session.corpus, context)]

    assert found("by:wd-tiny") == found("by:other") == found("by:tagger:wd-tiny+other") == found("added:other") == names
    assert found("by:wd-* by:oth*") == names
    assert found("by:nobody") == []
    assert found("score(red_theme)>.9") == found('score("red theme")>.9') == ["sub/red.png"]
    assert found("score(red_theme)<.4") == ["blue.png", "green.jpg"]
    assert found("score(never_seen)<.001") == names
    assert found("score(not a tag of it)<1") == []
    Image.new("RGB", (40, 40), "blue").save(data / "sub" / "red.png")
    assert found("score(red_theme)<1") == ["blue.png", "green.jpg"]  # another picture now, which nobody has seen


def test_a_model_sees_the_part_that_is_trained_and_is_asked_anew_about_another(data: Path, wd: Path) -> None:
    with Image.new("RGB", (128, 64), "blue") as wide:
        wide.paste("red", (0, 0, 64, 64))
        wide.save(data / "sub" / "red.png")

    def cropped(box: Box | None) -> None:
        crop = None if box is None else Crop(box, Size(128, 64))
        change_notes(data, lambda notes: notes.with_crop("sub/red.png", crop))

    def answered() -> tuple[str, int, int]:
        outcome = tagged(data, asked(wd, existing="replace"))
        return texts(data)["red"], outcome.cropped, outcome.models[0].kept

    session = opened(data)
    context = Context(history=Provenance(session), scores=FilterScores(session.corpus))
    cropped(Box(0, 0, 64, 64))
    assert answered() == (RED, 1, 0)
    assert len(list(parse_query("score(red_theme)>.9").select(session.corpus, context))) == 1
    cropped(Box(64, 0, 128, 64))
    assert answered() == ("blue theme, 1girl", 1, 2)  # of the others nothing new is asked
    cropped(Box(0, 0, 64, 64))
    assert answered() == (RED, 1, 3)
    change_notes(data, lambda notes: notes.with_crop("sub/red.png", Crop(Box(0, 0, 9, 9), Size(10, 10))))
    assert answered()[1:] == (0, 2)  # a crop of another image: the whole is trained, and looked at


def test_a_review_ends_when_a_tagger_changes_the_caption(data: Path, wd: Path) -> None:
    for name in ("blue", "green"):
        (data / f"{name}.txt").write_text("1girl, ^_^")
    session = opened(data)
    session.review([0, 1], "me")
    session.close()
    tagged(data, asked(wd, existing="append"))  # says nothing new of the green one
    again = opened(data)
    assert Provenance(again).reviewed() == {1}


@pytest.mark.parametrize(
    ("existing", "expected"),
    [
        ("skip", "blue_theme, mine\n"),
        ("replace", "hat, blue theme, 1girl\n"),
        ("prepend", "hat, 1girl, blue_theme, mine\n"),
        ("append", "hat, blue_theme, mine, 1girl\n"),
        ("merge", "hat, mine, blue theme, 1girl\n"),
    ],
)
def test_captions_that_are_there(data: Path, wd: Path, existing: Any, expected: str) -> None:
    (data / "blue.txt").write_text("blue_theme, mine\n")
    outcome = tagged(data, asked(wd, existing=existing, trigger="hat"))
    assert texts(data)["blue"] == expected
    assert texts(data)["red"] == f"hat, {RED}"
    assert outcome.skipped == (existing == "skip")


def test_a_dry_run_writes_nothing_and_the_next_needs_no_model(data: Path, wd: Path) -> None:
    before = contents(data)
    first = tagged(data, asked(wd), dry_run=True)
    assert first.preview is not None
    assert first.preview.images == 3
    assert contents(data) == before
    assert not (data / ".lora-tui").exists()
    (wd / "model.onnx").chmod(0)
    phases: list[str] = []
    second = tagged(
        data, asked(wd, rules=Rules(thresholds=Thresholds(general=0.99))), dry_run=True,
        on_progress=lambda phase, done, total, detail: phases.append(phase),
    )  # fmt: skip
    assert [(one.kept, one.told) for one in second.models] == [(3, "")]
    assert second.preview is not None
    assert [one.after for one in second.preview.samples()] == ["blue theme", "red theme, saber (fate)"]
    assert len(second.empty) == 1
    assert phases[-1] == "writing"


def test_answers_follow_content_not_names(data: Path, wd: Path, tmp_path: Path) -> None:
    tagged(data, asked(wd), dry_run=True)
    moved = tmp_path / "moved"
    data.rename(moved)
    wd.rename(wd.parent / "elsewhere")
    (moved / "blue.png").rename(moved / "first.png")
    again = tagged(moved, asked(wd.parent / "elsewhere"), dry_run=True)
    assert again.models[0].kept == 3
    make_wd14(tmp_path / "another", tags=[*TAGS[:-1], ("never_seen", 0, (0, 0, 0), -8.0)])
    assert tagged(moved, asked(tmp_path / "another"), dry_run=True).models[0].kept == 0


def test_thresholds_are_tuned_without_the_model(data: Path, wd: Path) -> None:
    session = opened(data)
    table = score_table(session.corpus, range(3), asked(wd))
    assert table.images == 3
    assert table.at_threshold(Thresholds()).tags == 8
    (wd / "model.onnx").chmod(0)
    assert score_table(session.corpus, range(3), asked(wd)).at_threshold(Thresholds(character=2)).tags == 7


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path, wd: Path) -> None:
    data = make_images(tmp_path / "many", {f"{n:03d}": (n, 0, 255 - n) for n in range(150)})
    done: list[int] = []
    stopped = tagged(
        data, asked(wd, batch=2), should_stop=lambda: bool(done) and done[-1] >= 20,
        on_progress=lambda phase, number, total, detail: done.append(number),
    )  # fmt: skip
    assert stopped.stopped
    assert texts(data) == {}
    assert not workers()
    outcome = tagged(data, asked(wd, batch=2))
    assert outcome.models[0].kept >= 20
    assert outcome.models[0].answered == len(texts(data)) == 150


def test_a_worker_that_is_killed_loses_nothing_that_was_answered(tmp_path: Path, wd: Path) -> None:
    """Once, another one goes on; every time, the run ends and keeps what was answered."""
    data = make_images(tmp_path / "many", {f"{n:03d}": (n, 0, 255 - n) for n in range(150)})
    killed: list[psutil.Process] = []

    def kill(phase: str, number: int, total: int, detail: str) -> None:
        for worker in workers() if number >= start else ():
            if worker not in killed and len(killed) < most:
                killed.append(worker)
                worker.send_signal(signal.SIGKILL)

    start, most = 20, 20
    with pytest.raises(UserError, match="SIGKILL") as caught:
        tagged(data, asked(wd, batch=2), on_progress=kill)
    assert caught.value.code == "tagger.died"
    assert "Run the same again" in caught.value.remedy
    killed, start, most = [], 100, 1  # it has answered some by then
    outcome = tagged(data, asked(wd, batch=2), on_progress=kill)
    assert (20 <= outcome.models[0].kept < 100, len(killed)) == (True, 1)
    assert len(texts(data)) + len(outcome.failed) == 150
    assert len(outcome.failed) <= 1


@pytest.mark.parametrize("batch", [1, 8])
def test_images_that_take_the_worker_along_are_named_and_the_others_are_written(
    tmp_path: Path, wd: Path, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    crash_over_images(monkeypatch, tmp_path / "hook", "lora_tui.tagging.worker")
    names = [*(f"{n:02d}" for n in range(20)), "05 crash", "06 crash", "99 crash"]
    data = make_images(tmp_path / "data", {name: (7 * n, 0, 0) for n, name in enumerate(names)})
    outcome = tagged(data, asked(wd, batch=batch))
    session = opened(data)
    failed = {session.corpus.entries[number].name: error.code for number, error in outcome.failed.items()}
    assert failed == {f"{name}.png": "image.crashed" for name in names if "crash" in name}
    assert len(texts(data)) == 20
    assert not workers()


def test_the_worker_ends_with_whoever_asked(tmp_path: Path, wd: Path) -> None:
    """Killed in the middle, a command leaves no process behind."""
    import subprocess
    import sys

    data = make_images(tmp_path / "many", {f"{n:03d}": (n, 0, 255 - n) for n in range(200)})
    command = [sys.executable, "-m", "lora_tui", "tag", str(data), "--model", str(wd), "--batch", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (worker,) = until(workers)
    process.kill()
    process.wait()
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


def test_images_that_cannot_be_read_are_named_and_the_others_are_written(data: Path, wd: Path) -> None:
    (data / "torn.png").write_bytes((data / "blue.png").read_bytes()[:60])
    (data / "text.png").write_text("no image")
    os.mkfifo(data / "pipe.png")
    (data / "gone.png").symlink_to(data / "nowhere.png")
    outcome = tagged(data, asked(wd))
    session = opened(data)
    failed = {session.corpus.entries[number].name: error.code for number, error in outcome.failed.items()}
    assert failed == {"torn.png": "image.damaged", "text.png": "image.invalid", "pipe.png": "image.unreadable",
                      "gone.png": "image.unreadable"}  # fmt: skip
    assert set(texts(data)) == {"blue", "green", "red"}
    again = tagged(data, asked(wd, existing="replace"), dry_run=True)
    assert again.failed.keys() == outcome.failed.keys()
    assert again.models[0].told == ""  # what is known to be damaged loads no model


def test_a_dataset_that_vanishes_ends_the_run(tmp_path: Path, wd: Path) -> None:
    data = make_images(tmp_path / "many", {f"{n:03d}": (n, 0, 255 - n) for n in range(150)})

    def vanish(phase: str, number: int, total: int, detail: str) -> None:
        if number >= 5 and data.exists():
            shutil.rmtree(data)

    with pytest.raises(UserError) as caught:
        tagged(data, asked(wd, batch=1), on_progress=vanish)
    assert caught.value.code == "tagger.vanished"
    assert str(data) in caught.value.place


def test_captions_that_others_change_meanwhile_are_seen(data: Path, wd: Path) -> None:
    def meanwhile(phase: str, number: int, total: int, detail: str) -> None:
        if phase == "loading":
            (data / "blue.txt").write_text("somebody else")

    tagged(data, asked(wd, existing="skip"), on_progress=meanwhile)
    assert texts(data)["blue"] == "somebody else"
    assert texts(data)["red"] == RED


def test_an_open_editor_follows(data: Path, wd: Path) -> None:
    editor = opened(data)
    edit(editor, "add mine", [0])
    tagged(data, asked(wd, existing="append"))
    (record,) = editor.follow()
    assert record.author == "tagger:wd-tiny"
    assert editor.corpus.entries[0].tags == ("mine", "blue theme", "1girl")
    editor.undo()
    editor.close()
    assert texts(data) == {"blue": "mine"}


def test_masks_and_second_images_of_a_caption_are_left_out(data: Path, wd: Path) -> None:
    Image.new("L", (40, 40), 255).save(data / "blue-masklabel.png")
    Image.new("RGB", (40, 40), "red").save(data / "blue.webp")
    outcome = tagged(data, asked(wd))
    assert outcome.wanted == 3
    assert set(texts(data)) == {"blue", "green", "red"}


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("union", {"red theme", "saber (fate)", "1girl", "long hair", "hat"}),
        ("intersection", {"1girl"}),
        ("vote", {"red theme", "saber (fate)", "1girl", "hat"}),
    ],
)
def test_several_models(data: Path, wd: Path, how: Any, expected: set[str]) -> None:
    """Two do not see the long hair, one no red; only the first knows characters, only the second the hat."""
    first = {row[0]: row for row in TAGS}
    never = {name: (name, 0, (0, 0, 0), -5.0) for name in ("long_hair", "red_theme")}
    hat = ("hat", 0, (0, 0, 0), 0.0)
    second = make_wd14(wd.parent / "second", tags=[first["1girl"], first["red_theme"], never["long_hair"], hat])
    third = make_wd14(wd.parent / "third", tags=[first["1girl"], never["red_theme"], never["long_hair"]])
    session = opened(data)
    outcome = tag_dataset(session, [2], asked(wd, second, third, combine=how))
    session.close()
    assert set(texts(data)["red"].split(", ")) == expected
    assert [one.name for one in outcome.models] == ["wd-tiny", "second", "third"]
    assert outcome.transaction is not None
    assert outcome.transaction.head["author"] == "tagger:wd-tiny+second+third"


def test_a_store_that_cannot_be_kept_is_told_and_the_captions_are_written(data: Path, wd: Path) -> None:
    store = Path(os.environ["LORA_TUI_HOME"]) / "cache" / "answers-1.sqlite"
    store.mkdir(parents=True)
    told: list[UserError] = []
    tagged(data, asked(wd), on_warning=told.append)
    assert [error.code for error in told] == ["tagger.cache"]
    assert len(texts(data)) == 3


def test_a_damaged_store_is_made_anew(data: Path, wd: Path) -> None:
    tagged(data, asked(wd), dry_run=True)
    (store,) = Path(os.environ["LORA_TUI_HOME"]).rglob("answers-*.sqlite")
    for beside in store.parent.glob(store.name + "-*"):
        beside.unlink()
    store.write_bytes(b"no database at all, but a text" * 1000)
    told: list[UserError] = []
    assert tagged(data, asked(wd), on_warning=told.append).models[0].kept == 0
    assert told == []
    assert tagged(data, asked(wd, existing="replace"), dry_run=True).models[0].kept == 3


def test_a_damaged_answer_is_asked_again(data: Path, wd: Path) -> None:
    tagged(data, asked(wd), dry_run=True)
    (store,) = Path(os.environ["LORA_TUI_HOME"]).rglob("answers-*.sqlite")
    with sqlite3.connect(store) as database:
        database.execute("update answers set answer = x'7201'")
    database.close()
    assert tagged(data, asked(wd), dry_run=True).models[0].kept == 0


def test_two_runs_at_once_share_the_store(data: Path, wd: Path, tmp_path: Path) -> None:
    other = make_images(tmp_path / "other", {f"{n:02d}": (4 * n, 0, 0) for n in range(40)})
    outcomes: list[Outcome] = []
    threads = [
        threading.Thread(target=lambda folder=folder: outcomes.append(tagged(folder, asked(wd))))
        for folder in (data, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.models[0].answered for one in outcomes) == [3, 40]
    assert tagged(other, asked(wd, existing="replace"), dry_run=True).models[0].kept == 40


def test_stopping_while_thresholds_are_tuned(data: Path, wd: Path) -> None:
    with pytest.raises(StoppedError):
        score_table(opened(data).corpus, range(3), asked(wd), should_stop=lambda: True)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"device": "gpu"}, "tagger.request"),
        ({"batch": -1}, "tagger.request"),
        ({"votes": 2}, "tagger.request"),
        ({"trigger": "a, b"}, "tagger.request"),
        ({"models": ()}, "tagger.request"),
        ({"models": (ModelChoice("auto", "nothing here"),)}, "tagger.kind"),
        ({"models": (ModelChoice("wd14", "nothing here"),)}, "tagger.missing"),
        ({"models": (ModelChoice("onnx", "nothing.toml"),)}, "tagger.description"),
        ({"models": (ModelChoice("wd14", "owner/never-fetched"),)}, "tagger.download"),
    ],
)
def test_requests_that_cannot_be(data: Path, options: dict[str, Any], code: str) -> None:
    request = Request(**{"models": (ModelChoice(),), **options})
    with pytest.raises(UserError) as caught:
        tagged(data, request)
    assert caught.value.code == code
    assert texts(data) == {}


def test_a_full_disk_leaves_captions_old_or_new(data: Path, wd: Path, tmp_path: Path) -> None:
    """The journal cannot be written: nothing is changed, and that is said."""
    tagged(data, asked(wd), dry_run=True)
    session = opened(data)
    home = data / ".lora-tui"
    home.mkdir(exist_ok=True)
    (home / "journal").symlink_to("/dev/full/journal")
    outcome = tag_dataset(session, range(3), asked(wd))
    session.close()
    assert outcome.transaction is not None
    assert outcome.transaction.error is not None
    assert texts(data) == {}


def test_sessions_are_for_one_dataset(data: Path, wd: Path) -> None:
    """Nothing but the captions of the images named is touched."""
    session: Session = opened(data)
    tag_dataset(session, [0], asked(wd))
    session.close()
    assert set(texts(data)) == {"blue"}


def test_a_store_with_damaged_pages_is_made_anew_while_it_is_used(data: Path, wd: Path) -> None:
    many = {f"{n:03d}": (n, n // 2, 255 - n) for n in range(60)}
    folder = make_images(data.with_name("many"), many)
    tagged(folder, asked(wd, batch=8), dry_run=True)
    (store,) = Path(os.environ["LORA_TUI_HOME"]).rglob("answers-*.sqlite")
    with sqlite3.connect(store) as database:
        database.execute("pragma wal_checkpoint(truncate)")
    database.close()
    raw = bytearray(store.read_bytes())
    pages = sqlite_pages(store, "answers")
    for page in pages:
        raw[page * 4096 - 4096 : page * 4096] = b"\x99" * 4096
    store.write_bytes(raw)
    told: list[UserError] = []
    tagged(folder, asked(wd, batch=8), dry_run=True, on_warning=told.append)
    assert told == []
    assert tagged(folder, asked(wd, batch=8), dry_run=True).models[0].kept == len(many)


def sqlite_pages(store: Path, table: str) -> list[int]:
    """The first page of a table, where its tree begins."""
    with sqlite3.connect(store) as database:
        rows = database.execute("select rootpage from sqlite_master where name = ?", (table,)).fetchall()
    database.close()
    return [row[0] for row in rows]
