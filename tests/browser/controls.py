"""A hand on the studio's controls, in a browser."""

from __future__ import annotations

import re
import time
from typing import Any

PATIENCE = 90.0
"""Seconds until a choice is there, on a slow machine."""


def pick(page: Any, label: str, choice: str | re.Pattern[str], *, typed: str | None = None) -> None:
    """Choose from a list, as a person does: one that the page closes meanwhile is opened again.

    A long list is shortened by what is `typed` into it.
    """
    from playwright.sync_api import TimeoutError as TooLate

    end = time.monotonic() + PATIENCE
    while True:
        box = page.get_by_role("combobox", name=label).first
        box.click()
        if typed is not None:
            box.fill(typed)
        try:
            page.get_by_role("option", name=choice).first.click(timeout=5_000)
        except TooLate:
            if time.monotonic() > end:
                raise
        else:
            return
