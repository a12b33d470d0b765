"""The benchmark of the studio waits for words that the pages really show."""

from __future__ import annotations

import pytest

from pruneviz.session.previews import INSTANT, REPAIRED
from tests.benchmarks.bench_interface import CONTENT, ROOT, WATCH_WORTH


@pytest.mark.parametrize("page", CONTENT)
def test_the_page_shows_it(page: str) -> None:
    sources = "".join(path.read_text() for path in (ROOT / "pruneviz" / "ui").rglob("*.py"))
    assert CONTENT[page] in sources


def test_the_kinds_of_accuracy_are_called_so() -> None:
    assert f"({INSTANT}|{REPAIRED})" in WATCH_WORTH
