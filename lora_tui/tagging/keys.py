"""The key of a server: from the environment or from a file that nobody else may read. It is never written anywhere."""

from __future__ import annotations

import os
import stat
from urllib.parse import urlsplit

from lora_tui.errors import UserError
from lora_tui.places import absolute
from lora_tui.tagging.request import Endpoint
from lora_tui.text import _, plain

_LONGEST = 8_192


def read_key(endpoint: Endpoint) -> str:
    """The key, empty when none is set.

    Raises:
        UserError: ``tagger.key`` when the file cannot be read, others may read it, or what it holds is no key.
    """
    if not endpoint.key_file:
        return _checked(
            os.environ.get(endpoint.key_variable, "") if endpoint.key_variable else "", endpoint.key_variable
        )
    path = absolute(endpoint.key_file)
    place = plain(str(path))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            state = os.fstat(descriptor)
            if not stat.S_ISREG(state.st_mode):
                raise _refused(place, _("It is no file."), "")
            if state.st_mode & 0o077:
                raise _refused(
                    place,
                    _("Others on this machine may read this key."),
                    _("Close it to them: {command}").format(command=f"chmod 600 {place}"),
                )
            raw = os.read(descriptor, _LONGEST + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        reason = plain(error.strerror or str(error))
        raise _refused(place, _("The key cannot be read: {reason}.").format(reason=reason), "") from error
    key = _checked(raw.decode("utf-8", "replace"), place)
    if not key:
        raise _refused(place, _("The file of the key is empty."), "")
    return key


def goes_in_the_clear(url: str) -> bool:
    """Whether what is sent to ``url`` can be read on the way: no encryption, and another machine."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    return host == "localhost" or host.startswith("127.") or host == "::1"


def _checked(text: str, place: str) -> str:
    key = text.strip()
    if len(key) > _LONGEST or not (key.isascii() and (not key or key.isprintable())) or " " in key:
        raise _refused(place, _("This is no key: one word of letters, digits and signs is wanted."), "")
    return key


def _refused(place: str, message: str, remedy: str) -> UserError:
    return UserError(
        message, place=place, remedy=remedy or _("Put the key alone into a file with mode 600."), code="tagger.key"
    )
