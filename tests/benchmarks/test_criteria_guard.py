"""All criteria in one pass must stay cheap: a loose guard, half of the targets."""

from __future__ import annotations

import time

import pytest

from tests.benchmarks.bench_criteria import CRITERIA, Case, check

PASSES = 1.6
TIMES_FASTER = 3.0


@pytest.mark.sweep
def test_all_criteria_cost_little_more_than_one_pass() -> None:
    """Processor time of one thread, so that other work does not count; the scores come first."""
    case = Case("resnet20", 64)
    check(case)
    ways = {
        "pass": case.train_pass,
        "together": lambda: case.rank(*CRITERIA),
        "one by one": lambda: [case.plain(name) for name in CRITERIA],
    }
    taken = dict.fromkeys(ways, 0.0)
    for order in (list(ways), list(ways)[::-1]):
        for way in order:
            began = time.process_time()
            ways[way]()
            taken[way] += time.process_time() - began
    assert taken["together"] < 2 * PASSES * taken["pass"], taken
    assert taken["one by one"] > TIMES_FASTER / 2 * taken["together"], taken
