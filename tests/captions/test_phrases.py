"""Phrases of prose: found, counted, filtered, renamed and taken away by one rule of what a word is."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from caption_folders import make_folder, opened, previewed
from caption_lines import Lines
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.captions.language import parse_operation
from lora_tui.captions.operations.base import Context
from lora_tui.captions.phrase_book import PhraseBook
from lora_tui.captions.prose import clauses_of, counted_again, counted_phrases, phrases


@pytest.mark.parametrize(
    ("operation", "before", "after"),
    [
        ('rename "a red hat" to "a blue hat"', "A red hat on a red hat.", "A blue hat on a blue hat."),
        ('rename "A red hat" to "A blue hat"', "A red hat on a red hat.", "A blue hat on a blue hat."),
        ("rename red to blue", "A red-haired girl in red.", "A red-haired girl in blue."),
        ("rename hat to cap", "A hatter with a hat, hats", "A hatter with a cap, hats"),
        ("rename girl to woman", "The girl's hat is on the girl.", "The woman's hat is on the woman."),
        ("rename red hat to blue cap", "a red   hat", "a blue cap"),
        ("rename NASA to Esa", "NASA logo, nasa", "Esa logo, Esa"),
        ("rename smiling to grinning exactcase", "Smiling, smiling", "Smiling, grinning"),
        ("rename 红帽 to 蓝帽", "一个戴红帽的女孩。", "一个戴蓝帽的女孩。"),
        ("remove smiling", "A woman, smiling, in a hat.", "A woman, in a hat."),
        ("remove smiling", "A woman in a hat, smiling.", "A woman in a hat."),
        ("remove smiling", "Smiling, a woman stands.", "A woman stands."),
        ("remove red hat", 'A sign reads "red hat" here.', "A sign reads here."),
        ("remove in a red hat", "A woman (in a red hat) stands.", "A woman stands."),
        ("remove in the background", "She waves. In the background, a tree.", "She waves. A tree."),
        ("remove in the background", "She waves, in the background; a tree.", "She waves, a tree."),
        ("remove in the background", "She waves in the background.\nA tree.", "She waves.\nA tree."),
        ("remove 戴着红帽", "一个女孩，戴着红帽，微笑。", "一个女孩，微笑。"),
        ("remove 微笑", "一个女孩，微笑。", "一个女孩。"),
    ],
)
def test_a_phrase_is_renamed_and_taken_away(operation: str, before: str, after: str) -> None:
    assert parse_operation(f"phrase {operation}").apply(before, Context()) == after


WORDS = ["red", "Red", "hat", "the", "red-haired", "girl's", "girl", "don't", "in", "红", "帽", "a_b", "ß", "İ"]
JOINTS = [" ", "  ", ", ", ". ", "/", "\n", "-", "'", " ", ""]


@given(st.lists(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(JOINTS)), max_size=7), max_size=5))
def test_every_phrase_is_found_by_the_filter_as_often_as_it_says(parts: list[list[tuple[str, str]]]) -> None:
    texts = ["".join(word + joint for word, joint in part) for part in parts]
    lines = Lines(texts)
    for phrase in phrases(texts, least=1):
        assert len(lines.find(f'phrase:"{phrase.text}"')) == phrase.captions, phrase


@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), max_size=6))
def test_counting_known_phrases_again_gives_the_same(texts: list[str]) -> None:
    clauses = [clauses_of(text) for text in texts]
    found = counted_phrases(clauses, least=1)
    assert counted_again(clauses, found) == found


def test_phrases_of_scripts_without_blanks() -> None:
    texts = ["一个戴红帽的女孩站在草地上。", "女孩戴红帽，微笑。", "戴红帽的男孩"]
    assert {phrase.text: phrase.captions for phrase in phrases(texts)} == {"戴红帽": 3, "孩": 3, "女孩": 2}


EDITS = ["phrase rename red to blue", "phrase remove hat", "add the end", "set A red hat is here", "delete"]


@given(st.lists(st.tuples(st.sampled_from(EDITS), st.integers(0, 3)), max_size=5))
def test_counts_are_kept_up_while_captions_change(edits: list[tuple[str, int]]) -> None:
    texts = ["A red hat, a red coat.", "the red hat in the rain", "A blue coat and a red coat", "a hat"]
    with TemporaryDirectory() as folder:
        make_folder(Path(folder), {str(number): text for number, text in enumerate(texts)})
        session = opened(Path(folder))
        book, whole = PhraseBook(session.corpus), PhraseBook(session.corpus)
        assert book.count()
        for operation, number in edits:
            known = set(book.totals)
            session.apply(previewed(session, operation, [number]), "test")
            assert book.adjust()
            whole.count()
            exact = counted_again([clauses_of(e.document.text) for e in session.corpus.entries if e.document], known)
            assert book.totals == {words: exact[words] for words in known if exact[words] > 1}
            assert book.count() and book.totals == whole.totals
        assert book.in_scope([0, 1]).total() <= sum(book.totals.values())
        session.close()


def test_a_count_that_is_stopped_leaves_what_was_known(tmp_path: Path) -> None:
    session = opened(make_folder(tmp_path, {"a": "a red hat", "b": "a red hat"}))
    book = PhraseBook(session.corpus, kept=1)
    assert book.count() and list(book.totals) == [("red", "hat")]
    assert not book.count(lambda: True)
    assert not book.adjust()
    assert book.rows(book.in_scope([1])) == [(("red", "hat"), 1, 2)]
    session.close()
