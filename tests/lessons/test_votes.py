"""A class's answers: counted once a visitor, from many threads, without a name."""

from __future__ import annotations

from threading import Thread

from pruneviz.figures.votes import votes_figure
from pruneviz.lessons.votes import MOST, Votes


def test_a_visitor_counts_once_and_may_change_their_mind() -> None:
    votes = Votes()
    votes.give("one", 0, "ann", 1)
    votes.give("one", 0, "bob", 2)
    votes.give("one", 0, "ann", 2)
    votes.give("one", 1, "ann", 0)
    assert votes.counts("one", 0, 3) == (0, 0, 2)
    assert votes.counts("one", 1, 2) == (1, 0)
    assert votes.counts("two", 0, 2) == (0, 0)
    votes.clear("one")
    assert votes.counts("one", 0, 3) == (0, 0, 0)


def test_a_class_that_answers_at_once_is_counted_whole() -> None:
    votes = Votes()

    def answer(first: int) -> None:
        for i in range(50):
            votes.give("one", 0, f"{first} {i}", i % 2)

    threads = [Thread(target=answer, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert votes.counts("one", 0, 2) == (200, 200)


def test_a_script_does_not_fill_the_memory() -> None:
    votes = Votes()
    for i in range(MOST + 10):
        votes.give("one", 0, str(i), 0)
    assert votes.counts("one", 0, 1) == (MOST,)


def test_the_right_answer_is_marked_by_more_than_its_colour() -> None:
    figure = votes_figure(("Yes", "No: <b>never</b>"), (3, 4), 1)
    (bars,) = figure.data
    assert bars.x == (3, 4)
    assert bars.y == ("Yes", "No: &lt;b&gt;never&lt;/b&gt; ✓")
    assert bars.marker.color[0] != bars.marker.color[1]
