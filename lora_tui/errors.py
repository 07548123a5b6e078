"""The one exception for what a person can mend, shown as one line without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something a person can mend: what happened, where, and what to do.

    Attributes:
        message: what happened, one sentence without the place.
        place: a file, a field (``network.rank``) or both; empty when there is none.
        remedy: what to do now; empty when the message says it all.
        code: a short stable identifier for scripts and tests, such as ``config.unknown_key``.
    """

    def __init__(self, message: str, *, place: str = "", remedy: str = "", code: str = "error") -> None:
        super().__init__(message)
        self.message = message
        self.place = place
        self.remedy = remedy
        self.code = code

    def __str__(self) -> str:
        head = f"{self.place}: {self.message}" if self.place else self.message
        return f"{head} {self.remedy}".rstrip()

    def as_dict(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message, "place": self.place, "remedy": self.remedy}
