"""The suite's short form; `python -m tests.chaos` is the whole."""

from __future__ import annotations

import os

import pytest

from tests.chaos.suite import short

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.skipif(os.name != "posix", reason="kills as on POSIX"),
]


@pytest.mark.sweep
def test_the_short_form_loses_nothing(tmp_path):
    tally = short(tmp_path)
    assert tally.sound, tally.report()
    assert tally.compared == tally.kills == 1
    assert tally.tried > 50
    assert tally.sentences > 0, "somebody is always too late"
