"""PruneViz in a notebook's cell: the sliders as a widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pruneviz.errors import MissingExtraError

if TYPE_CHECKING:
    from torch import nn

    from pruneviz.data import DataSet
    from pruneviz.notebook.explorer import Explorer


def explore(model: nn.Module, data: DataSet, *, criterion: str = "fisher") -> Explorer:
    """Show sliders for every group, the cost of the plan, and its repaired accuracy.

    The widget uses the same sessions as the studio: every plan you visit is a point in the
    trade-off chart, and you can go back to it. It works wherever anywidget does (JupyterLab, VS
    Code, Colab, marimo). `.plan` is the plan at any time, `.cost` its cost.

    Args:
        model: The unpruned network; it is not changed.
        data: Training images rank and repair, validation images measure.
        criterion: Orders the units.

    Raises:
        MissingExtraError: anywidget is not installed.
        UnknownNameError: There is no such criterion.

    Example:
        >>> sliders = pv.explore(model, data)  # doctest: +SKIP
        >>> small = pv.repair(model, sliders.graph, sliders.plan, data)  # doctest: +SKIP
    """
    try:
        from pruneviz.notebook.explorer import Explorer
    except ImportError as error:
        raise MissingExtraError("pv.explore", "anywidget", "notebook") from error
    return Explorer(model, data, criterion)
