"""Tags that are drawn with punctuation: their underscores are no blanks and their brackets no weights."""

from __future__ import annotations

import re

#: Faces and signs that booru sites have as tags. Programs that turn every underscore into a blank spoil them.
KAOMOJI: frozenset[str] = frozenset(
    r"""
    0_0 (o)_(o) +_+ +_- ._. <o>_<o> <|>_<|> =_= >_< 3_3 6_9 >_o @_@ ^_^ o_o u_u x_x |_| ||_|| ;_; -_- ^o^ t_t T_T
    O_O o_O O_o >_> <_< :_: *_* $_$ #_# ~_~ n_n v_v ._, >:( >:) >:D >:d >:3 :) :( :D :d :3 :o :O :p :P :q :t :x :/
    :| :< :> :c :i :> ;) ;D ;d ;p ;P ;o ;q ;3 =) =( =D =3 xD XD D: d: ^^^ ^^ \o/ \m/ \||/ <3 </3 uwu owo OwO UwU
    !? !! ? ?? !
    """.split()  # noqa: SIM905 - a list of 90 faces in quotes would be hard to read
)

_FACE = re.compile(r"[^\w\s]{2,3}|[^\s]{1,3}_[^\s]{1,3}")
_WORDS = re.compile(r"[^\W\d_]{2,}")


def is_kaomoji(tag: str) -> bool:
    """Whether ``tag`` is a face: one that is known, or an underscore between at most three signs on each side."""
    if tag in KAOMOJI:
        return True
    return len(tag) <= 7 and _FACE.fullmatch(tag) is not None and _WORDS.search(tag) is None


def spaced(tag: str) -> str:
    """``tag`` with blanks for underscores, faces as they are."""
    return tag if "_" not in tag or is_kaomoji(tag) else tag.replace("_", " ")


def underscored(tag: str) -> str:
    """``tag`` with underscores for blanks."""
    return tag if is_kaomoji(tag) else tag.replace(" ", "_")
