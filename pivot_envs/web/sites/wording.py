"""Dates and amounts in words, the same under every locale."""

from datetime import datetime

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def day(moment: str) -> str:
    """Write the date of ``2026-03-05 09:30`` as ``5 March 2026``."""
    date = datetime.fromisoformat(moment)
    return f"{date.day} {_MONTHS[date.month - 1]} {date.year}"


def weekday(date: datetime) -> str:
    """Write a date such as ``Tuesday, 5 May``."""
    return f"{_WEEKDAYS[date.weekday()]}, {date.day} {_MONTHS[date.month - 1]}"


def month(date: datetime) -> str:
    """Write the name of the month."""
    return _MONTHS[date.month - 1]


def money(cents: int) -> str:
    """Write an amount such as ``$1,204.50``."""
    return f"${cents // 100:,}.{cents % 100:02d}"
