"""Small datasets of captions, and an editor in a process of its own that can be killed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lora_tui.captions.corpus import Corpus
from lora_tui.captions.index import Index
from lora_tui.captions.language import parse_operation
from lora_tui.captions.operations.base import Context
from lora_tui.captions.profile import OURS, Profile
from lora_tui.captions.tokens import sd15_tokens
from lora_tui.captions.transaction import Preview, Session, preview


def make_folder(folder: Path, captions: Mapping[str, str | bytes | None]) -> Path:
    """A folder with an empty image for each name, and a caption ``name.txt`` where it is not none."""
    for name, caption in captions.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.png").touch()
        if caption is not None:
            raw = caption.encode() if isinstance(caption, str) else caption
            (folder / f"{name}.txt").write_bytes(raw)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the dataset but what is our own."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and ".lora-tui" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def opened(folder: Path, profile: Profile = OURS) -> Session:
    return Session(Corpus.open(folder, profile=profile))


def previewed(session: Session, operation: str, numbers: list[int] | None = None) -> Preview:
    corpus = session.corpus
    context = Context(profile=corpus.profile, count=corpus.index.count, tokens=sd15_tokens().count)
    context.caption_of = lambda source: corpus.text_from(source, context.name)
    chosen = range(len(corpus.entries)) if numbers is None else numbers
    return preview(corpus, chosen, parse_operation(operation), context=context, operation_text=operation)


def edit(session: Session, operation: str, numbers: list[int] | None = None, author: str = "test") -> None:
    """Apply and wait until it is on disk; whatever is lost on the way is a failure."""
    transaction = session.apply(previewed(session, operation, numbers), author)
    session.flush()
    assert not transaction.lost, (transaction.error, transaction.conflicts, transaction.failures)


def edit_and_say(folder: str, operation: str, said: object) -> None:
    """What the process that is killed does: edit everything, saying when it begins and when it is done."""
    session = opened(Path(folder))
    found = previewed(session, operation)
    said.send("begun")  # type: ignore[attr-defined]
    session.apply(found, "victim")
    session.close()
    said.send("done")  # type: ignore[attr-defined]


def assert_memory_is_disk(corpus: Corpus) -> None:
    """What a corpus says of its captions, and the index of its tags, are what lies on disk."""
    counted = Index()
    for entry in corpus.entries:
        assert entry.raw == (entry.caption.read_bytes() if entry.caption.exists() else None)
        counted.add(entry.number, entry.tags)
    assert counted.counts() == corpus.index.counts()
