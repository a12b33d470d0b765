"""Errors travel: from a worker to the app, through a queue, into a file."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from pruneviz import errors


def every(kind: type[errors.PruneVizError]) -> Iterator[type[errors.PruneVizError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from every(below)


class OddError(errors.PruneVizError):
    """One whose arguments are not its text, as a later one may be."""

    def __init__(self, *, rule: str) -> None:
        super().__init__(f"The rule is {rule}.")
        self.rule = rule


MADE = {
    errors.UnknownNameError: lambda: errors.UnknownNameError("run", "x", ["a", "b"]),
    errors.MissingExtraError: lambda: errors.MissingExtraError("ONNX", "onnx", "export"),
    OddError: lambda: OddError(rule="one at a time"),
}


@pytest.mark.parametrize("kind", sorted(set(every(errors.PruneVizError)), key=lambda k: k.__name__))
@pytest.mark.parametrize("protocol", [2, pickle.HIGHEST_PROTOCOL])
def test_every_error_survives_pickling(kind, protocol):
    error = MADE.get(kind, lambda: kind("The rule, the value, the remedy."))()
    error.add_note("while loading")
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is kind
    assert str(again) == str(error) != ""
    assert again.__dict__ == error.__dict__
    assert again.__notes__ == ["while loading"]
