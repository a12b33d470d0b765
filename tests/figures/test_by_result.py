"""Every result has its picture, with the same options."""

from __future__ import annotations

import inspect

import pytest

from pruneviz.drawing import draw
from pruneviz.errors import InvalidValueError
from pruneviz.figures import style
from pruneviz.figures.by_result import figure_of
from tests.figures.networks import small_graph


def test_every_result_has_a_picture_with_the_same_options() -> None:
    types = [t for t in figure_of.registry if t is not object]
    assert len(types) == 13
    for result in types:
        options = inspect.signature(result.figure).parameters
        assert [options[name].kind for name in ("dark", "height")] == [
            inspect.Parameter.KEYWORD_ONLY
        ] * 2, result
        assert (options["dark"].default, options["height"].default) == (False, None), result


def test_a_result_is_drawn_with_its_options() -> None:
    graph = small_graph()
    for dark in (False, True):
        figure = graph.figure(dark=dark, height=333)
        assert figure.layout.height == 333
        assert figure.data[0].marker.color == style.kept_colour(dark)
    with pytest.raises(InvalidValueError, match="no picture of a str"):
        draw("nothing")
