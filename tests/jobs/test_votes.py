"""A class's answers: counted once a visitor, from many threads and studios, without a name."""

from __future__ import annotations

from threading import Thread

import pytest

from pruneviz.jobs import RunStore, votes
from pruneviz.jobs.votes import Votes


def test_a_visitor_counts_once_and_may_change_their_mind(store: RunStore) -> None:
    votes, other = Votes(store.database), Votes(RunStore(store.home).database)
    votes.give("one", 0, "ann", 1)
    other.give("one", 0, "bob", 2)
    other.give("one", 0, "ann", 2)
    votes.give("one", 1, "ann", 0)
    assert votes.counts("one", 0, 3) == (0, 0, 2)
    assert votes.counts("one", 1, 2) == (1, 0)
    assert votes.counts("two", 0, 2) == (0, 0)
    other.clear("one")
    assert votes.counts("one", 0, 3) == (0, 0, 0)


def test_a_class_that_answers_at_once_is_counted_whole(store: RunStore) -> None:
    votes = Votes(store.database)

    def answer(first: int) -> None:
        for i in range(20):
            votes.give("one", 0, f"{first} {i}", i % 2)

    threads = [Thread(target=answer, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert votes.counts("one", 0, 2) == (80, 80)


def test_a_script_does_not_fill_the_records(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(votes, "MOST", 20)
    counted = Votes(store.database)
    for i in range(30):
        counted.give("one", 0, str(i), 0)
    counted.give("one", 0, "3", 1)  # who is counted may still change their mind
    assert counted.counts("one", 0, 2) == (19, 1)
