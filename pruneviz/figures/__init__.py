"""Results drawn with plotly. A figure is drawn from a plain info value, which tests compare.

Nothing here knows a screen or torch: the studio and the notebook show the same figures.
"""

from pruneviz.figures.classes import ClassesInfo, classes_figure, evaluation_figure
from pruneviz.figures.compare import CompareInfo, compare_figure, compare_info, spearman_figure
from pruneviz.figures.costs import CostsInfo, costs_figure
from pruneviz.figures.curves import curves_figure, sensitivity_heat_figure
from pruneviz.figures.layer import LayerInfo, layer_figure, layer_info
from pruneviz.figures.masks import masks_figure
from pruneviz.figures.overview import OverviewInfo, OverviewLayer, overview_figure, overview_info
from pruneviz.figures.stats import pareto, wilson
from pruneviz.figures.tradeoff import TradeoffInfo, TradeoffPoint, tradeoff_figure, tradeoff_info
from pruneviz.figures.training import RunCurve, TrainingInfo, training_figure

__all__ = [
    "ClassesInfo",
    "CompareInfo",
    "CostsInfo",
    "LayerInfo",
    "OverviewInfo",
    "OverviewLayer",
    "RunCurve",
    "TradeoffInfo",
    "TradeoffPoint",
    "TrainingInfo",
    "classes_figure",
    "compare_figure",
    "compare_info",
    "costs_figure",
    "curves_figure",
    "evaluation_figure",
    "layer_figure",
    "layer_info",
    "masks_figure",
    "overview_figure",
    "overview_info",
    "pareto",
    "sensitivity_heat_figure",
    "spearman_figure",
    "tradeoff_figure",
    "tradeoff_info",
    "training_figure",
    "wilson",
]
