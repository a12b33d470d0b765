"""The picture of a strategy's course, chosen by what its steps tell of how they were decided."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

from pruneviz.figures.population import population_figure, population_info
from pruneviz.figures.removals import ranks_figure, ranks_info
from pruneviz.figures.steps import steps_figure, steps_info
from pruneviz.figures.trials import trials_figure, trials_info
from pruneviz.figures.zeroing import zeroed_layers, zeroing_figure, zeroing_info
from pruneviz.strategies.course import Course
from pruneviz.strategies.details import Population, Removals, Trial, Zeroing


@dataclass(frozen=True)
class Picture:
    """A course at a step: how to draw it, and what it shows in words."""

    draw: Callable[..., Any]
    """Takes `dark` and `height`."""
    told: str
    parts: tuple[str, ...] = ()
    """The layers or groups that can be looked at one by one."""
    part: str | None = None
    """The one that is shown, where the picture is always of one."""


def picture_of(course: Course, step: int | None = None, part: str | None = None) -> Picture:
    """The picture of a course as it was at a step, by default at the last.

    Args:
        course: What was kept of a strategy's steps.
        step: The step, counted from 1.
        part: One of the picture's `parts`.
    """
    details = next((s.details for s in course.until(step).steps if s.details is not None), None)
    return _picture(details, course, step, part)


def course_figure(
    course: Course, *, step: int | None = None, part: str | None = None, **look: Any
) -> Any:
    """Draw a course as it was at a step; see `picture_of`."""
    return picture_of(course, step, part).draw(**look)


@singledispatch
def _picture(_details: object, course: Course, step: int | None, _part: str | None) -> Picture:
    info = steps_info(course, step)
    return Picture(lambda **look: steps_figure(info, **look), info.told)


@_picture.register
def _(_details: Removals, course: Course, step: int | None, part: str | None) -> Picture:
    info = ranks_info(course, step, part)
    groups = tuple(g.name for g in course.graph.prunable_groups)
    return Picture(lambda **look: ranks_figure(info, **look), info.told, groups)


@_picture.register
def _(_details: Zeroing, course: Course, step: int | None, part: str | None) -> Picture:
    info = zeroing_info(course, step, part)
    layers = zeroed_layers(course)
    return Picture(lambda **look: zeroing_figure(info, **look), info.told, layers, info.layer)


@_picture.register
def _(_details: Trial, course: Course, step: int | None, _part: str | None) -> Picture:
    info = trials_info(course, step)
    return Picture(lambda **look: trials_figure(info, **look), info.told)


@_picture.register
def _(_details: Population, course: Course, step: int | None, _part: str | None) -> Picture:
    info = population_info(course, step)
    return Picture(lambda **look: population_figure(info, **look), info.told)
