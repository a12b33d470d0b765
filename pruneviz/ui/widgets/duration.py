"""Durations as people say them."""

from __future__ import annotations

from datetime import datetime


def said(seconds: float) -> str:
    """Say a duration: `12 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, rest = divmod(whole // 60, 60)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def when(moment: float) -> str:
    """A moment (seconds since 1970) on the server's clock: "21 Nov, 08:04"."""
    date = datetime.fromtimestamp(moment)
    return f"{date.day} {date:%b, %H:%M}"
