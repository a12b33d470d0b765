"""A short form of `python -m tests.fuzz`: nothing but results and sentences, in little memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from pruneviz.errors import InvalidValueError
from tests.fuzz.sources import SOURCES
from tests.fuzz.trials import fuzz, peak_bytes

pytestmark = pytest.mark.fuzz

MOST_BYTES = 2 * 2**30


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
def test_malformed_input_is_taken_or_refused_with_a_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRUNEVIZ_CACHE", str(tmp_path / "cache"))
    before = peak_bytes()
    tally = fuzz({name: SOURCES[name]}, tmp_path, seed=1, seconds=6, most=400)
    assert not tally.others, "\n\n".join(tally.others)
    assert tally.refused.total() > 0
    assert peak_bytes() - before < MOST_BYTES


def test_the_fuzzer_tells_what_is_neither(tmp_path: Path) -> None:
    def clear() -> None:
        raise InvalidValueError("A number must be from 1, but got 0.")

    def short() -> None:
        raise InvalidValueError("No.")

    def raw() -> None:
        raise KeyError("x")

    calls = {"clear": clear, "short": short, "raw": raw, "taken": lambda: None}
    sources = {n: lambda rng, folder, n=n: iter([(n, calls[n])] * 9) for n in calls}
    tally = fuzz(sources, tmp_path, most=4)
    assert (tally.tried, tally.refused["clear"], tally.accepted["taken"]) == (4, 1, 1)
    assert [other.split(":")[0] for other in tally.others] == ["short", "raw"]
    assert "others           2" in tally.report()
