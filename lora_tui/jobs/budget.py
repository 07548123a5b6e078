"""What a run may take: a time such as ``2h`` or ``1h30m``, or an amount of money such as ``2.50 EUR``.

Money becomes time by the price of the machine per hour. Of several lives of a run each has the whole budget: who
resumes a run knows what it took so far.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lora_tui.errors import UserError
from lora_tui.text.formats import duration
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
"""By the first letter of a unit."""
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)")
_TIME = re.compile(rf"(?:{_PART.pattern}\s*)+")
_CLOCK = re.compile(r"(\d{1,5}):([0-5]\d)(?::([0-5]\d))?")
_AMOUNT = r"\d{1,9}(?:[.,]\d{1,6})?"
_MONEY = re.compile(
    rf"(?:(?P<before>[^\W\d_]{{1,8}}|[$€£¥₹₩])\s*(?P<a>{_AMOUNT})|(?P<b>{_AMOUNT})\s*(?P<after>[^\W\d_]{{2,8}}|[^\W\d_a-zA-Z]|[$€£¥₹₩]))"
)

LEAST = 5.0
"""Seconds of the shortest budget: less is not enough to begin and save."""
MOST = 3600.0 * 24 * 366


@dataclass(frozen=True)
class Budget:
    """``seconds`` are none where ``money``, in ``currency``, is what was said."""

    text: str
    seconds: float | None = None
    money: float | None = None
    currency: str = ""

    def within(self, price_per_hour: float) -> float:
        """How long a run may take, seconds.

        Raises:
            UserError: it is money, and the machine has no price.
        """
        if self.seconds is not None:
            return self.seconds
        if price_per_hour <= 0:
            raise UserError(
                _("A budget in money needs the price of this machine per hour."),
                place="ending.budget",
                remedy=_("Set price_per_hour in lora-tui.toml, or give a time such as 2h."),
                code="budget.price",
            )
        return min((self.money or 0.0) / price_per_hour * 3600, MOST)

    def words(self, price_per_hour: float = 0.0) -> str:
        """The budget as a person reads it; of money also the time that it buys."""
        if self.seconds is not None:
            return duration(self.seconds)
        if price_per_hour <= 0:
            return plain(self.text)
        return _("{money}, which is {time}").format(money=plain(self.text), time=duration(self.within(price_per_hour)))


def parse_budget(text: str) -> Budget | None:
    """The budget that ``text`` says; none for an empty one.

    Times are ``90m``, ``2h``, ``1h 30m``, ``1.5h``, ``1d`` or ``1:30`` (hours and minutes); money has its currency.

    Raises:
        UserError: it says neither, or next to nothing.
    """
    said = text.strip()
    if not said:
        return None
    lowered = said.lower()
    found: Budget | None = None
    if clock := _CLOCK.fullmatch(lowered):
        hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        found = Budget(said, hours * 3600.0 + minutes * 60.0 + seconds)
    elif _TIME.fullmatch(lowered):
        found = Budget(said, sum(float(number) * _SECONDS[unit[0]] for number, unit in _PART.findall(lowered)))
    elif money := _MONEY.fullmatch(said):
        amount = float((money["a"] or money["b"]).replace(",", "."))
        found = Budget(said, None, amount, money["before"] or money["after"])
    if found is None:
        raise UserError(
            _("{text} is no budget.").format(text=plain(said, limit=40)),
            place="ending.budget",
            remedy=_("Give a time such as 2h or 1h30m, or money with its currency, such as 2.50 EUR."),
            code="budget.value",
        )
    if (found.seconds is not None and not LEAST <= found.seconds <= MOST) or found.money == 0:
        raise UserError(
            _("A budget of {text} is too little or too much.").format(text=plain(said, limit=40)),
            place="ending.budget",
            remedy=_("Give at least 5 s and at most a year."),
            code="budget.value",
        )
    return found
