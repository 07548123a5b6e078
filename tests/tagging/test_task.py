"""Tagging in the background: under a keeper, stopped and resumed, and what is told of it afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from caption_folders import contents, opened
from support import until
from tagger_builders import make_images, make_wd14

from lora_tui.captions.corpus import Corpus
from lora_tui.errors import UserError
from lora_tui.jobs.control import request as ask
from lora_tui.jobs.lock import holder
from lora_tui.tagging.kept import load_kept
from lora_tui.tagging.request import Endpoint, ModelChoice, Request, of_options
from lora_tui.tagging.rules import Rules, Thresholds
from lora_tui.tagging.run import tag_dataset
from lora_tui.tagging.task import work
from lora_tui.tasks.start import resume_task, start_task
from lora_tui.tasks.status import task_status
from lora_tui.tasks.words import result_text


def options(data: Path, wd: Path, **fields: Any) -> dict[str, Any]:
    request = Request((ModelChoice("wd14", str(wd)),), device="cpu", threads=1, **fields)
    return {"dataset": str(data), "request": request.as_options(), "scope": "all"}


def test_a_task_tags_in_the_background_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    wd = make_wd14(tmp_path / "wd")
    data = make_images(tmp_path / "data", {f"{n:03d}": (n, 0, 255 - n) for n in range(250)})
    (data / "torn.png").write_bytes(b"\x89PNG")
    task = start_task(data, "tag", "tiny", options(data, wd, batch=1))
    until(lambda: task_status(task).done >= 3 or not task_status(task).alive, 60)
    ask(task.root, "stop")
    until(lambda: not task_status(task).alive, 60)
    stopped = task_status(task)
    if stopped.result.get("stopped"):  # else it was quicker than the request
        assert not list(data.glob("*.txt"))
        until(lambda: holder(task.root / "keeper.lock") is None)
        resume_task(task)
        until(lambda: task_status(task).state == "finished", 60)
    ended = task_status(task)
    assert len(list(data.glob("*.txt"))) == 250
    assert ended.result["failed"] == 1
    assert ended.result["complete"] is True
    assert [one["place"] for one in ended.warnings] == ["torn.png"]
    session = opened(data)
    session.undo()
    session.close()
    assert sum(name.endswith(".txt") for name in contents(data)) == 0


def test_a_task_that_only_asks_fills_the_store_for_several_datasets(tmp_path: Path) -> None:
    wd = make_wd14(tmp_path / "wd")
    one, two = (
        make_images(tmp_path / name, {"a": "red", "b": colour}) for name, colour in (("one", "blue"), ("two", "lime"))
    )
    asked = options(one, wd) | {
        "only_ask": True,
        "images": ["a.png"],
        "more": [{"dataset": str(two), "images": ["b.png"]}],
    }
    task = start_task(one, "tag", "tiny", asked)
    until(lambda: task_status(task).state == "finished", 60)
    ended = task_status(task)
    assert ended.result == {"asked": 2, "failed": 0, "complete": True}
    assert result_text(ended) == "2 images answered"
    assert not [*one.glob("*.txt"), *two.glob("*.txt")]
    parts = [(Corpus.open(folder), range(2)) for folder in (one, two)]
    kept = load_kept(parts, of_options(asked["request"]))
    assert [(image.part, image.number) for image in kept.images] == [(0, 0), (1, 1)] and kept.lacking == 2


def test_what_is_asked_survives_json() -> None:
    asked = Request(
        (ModelChoice("wd14", "a", 0.4), ModelChoice("endpoint", "b")),
        rules=Rules(thresholds=Thresholds(0.2, other=0.5), replace=(("a", "b"),), first=("x",)),
        endpoint=Endpoint(url="http://x", prompt="{tags}"),
        combine="vote",
        votes=2,
    )
    import json

    assert of_options(json.loads(json.dumps(asked.as_options()))) == asked


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"models": [{"kind": "wd15"}]}, "models.0.kind"),
        ({"models": [{"kind": "wd14", "nmae": "x"}]}, "models.0.nmae"),
        ({"models": []}, "models"),
        ({"models": [{}], "rules": {"thresholds": {"general": "high"}}}, "rules.thresholds.general"),
        ({"models": [{}], "exsting": "skip"}, "exsting"),
    ],
)
def test_what_cannot_be_asked(wrong: dict[str, Any], place: str) -> None:
    with pytest.raises(UserError) as caught:
        of_options(wrong)
    assert (caught.value.code, caught.value.place) == ("tagger.request", place)


def test_a_task_stopped_while_captions_are_read_says_so(tmp_path: Path) -> None:
    wd, data = make_wd14(tmp_path / "wd"), tmp_path / "data"
    data.mkdir()
    for number in range(4000):
        (data / f"{number:04}.png").touch()

    class Heard:
        warned: list[UserError] = []

        def progress(self, phase: str, done: int, total: int, detail: str = "") -> None: ...

        def warn(self, error: UserError) -> None:
            self.warned.append(error)

        def should_stop(self) -> bool:
            return True

    asked = options(data, wd)
    ended = work(asked, Heard())
    assert (ended["stopped"], ended["complete"]) == (True, False)
    assert work(asked | {"only_ask": True}, Heard())["complete"] is False
    assert not Heard.warned


def test_thresholds_below_those_of_the_sliders_hold_for_kept_answers_too(tmp_path: Path) -> None:
    data = make_images(tmp_path / "data", {"a": (100, 100, 100)})
    request = Request(
        (ModelChoice("wd14", str(make_wd14(tmp_path / "wd"))),),
        rules=Rules(thresholds=Thresholds(general=0.02)),
        device="cpu",
        threads=1,
    )
    session = opened(data)
    outcome = tag_dataset(session, [0], request, dry_run=True)
    assert outcome.preview is not None
    (change,) = outcome.preview.changes
    kept = load_kept([(session.corpus, [0])], request)
    session.close()
    assert change.document is not None and "red theme" in change.document.text  # its score is 0.04
    assert ", ".join(kept.answered(0, request).tags) == change.document.text
