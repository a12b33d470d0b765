"""One figure of every kind, with names as long as people meet, and what each must say in words."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from torch import nn

import pruneviz as pv
from pruneviz import figures
from pruneviz.evaluation import Evaluation
from pruneviz.explain.alone import Alone
from pruneviz.explain.conductance import Conductance
from pruneviz.figures.alone import alone_figure
from pruneviz.figures.answers import answers_figure
from pruneviz.figures.conductance import conductance_figure
from pruneviz.figures.course import picture_of
from pruneviz.figures.lab import LabInfo, LayersInfo, lab_figure, layers_figure
from pruneviz.figures.lab_details import pruned_figure
from pruneviz.figures.latency import LatencyInfo, WidthsInfo, latency_figure, widths_figure
from pruneviz.figures.population import genes_figure, genes_info
from pruneviz.figures.pretraining import PretrainingInfo, StudyCurve, pretraining_figure
from pruneviz.figures.race import RaceInfo, RacePoint, race_figure
from pruneviz.figures.trust import runs_figure, trust_figure
from pruneviz.figures.votes import votes_figure
from pruneviz.sensitivity_result import Sensitivity, SensitivityPoint
from pruneviz.strategies.course import Course, CourseStep
from pruneviz.strategies.details import Details, Population, Removals, Trial, Zeroing
from pruneviz.studies.papers.result import Finding, LabResult
from pruneviz.studies.trust.result import Trust, TrustPoint

NAN = math.nan
CLASSES = tuple(f"class number {i}" for i in range(10))
GROUPS = tuple(f"stage {1 + i // 3} stream: layer{i}.0.conv1 + {i} layers" for i in range(7))
STRATEGIES = ("taylor", "soft", "binary_search", "genetic", "iterative", "one_shot", "uniform")


class Piece(NamedTuple):
    """A figure, and words that its text alternative must have: what a look at it tells."""

    draw: Callable[..., Any]
    says: tuple[str, ...]


def _graph() -> pv.ChannelGraph:
    layers = (nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 6, 1), nn.Flatten(), nn.Linear(24, 10))
    return pv.trace(nn.Sequential(*layers), (3, 2, 2))


GRAPH = _graph()
UNITS = GRAPH.num_units
OWN = int(GRAPH.prunable.sum())
SCORES = np.where(GRAPH.prunable, np.arange(UNITS) * 1e-5, NAN)
KEPT = np.ones(UNITS, bool)
KEPT[[0, 1, 9]] = False


def _scan() -> Sensitivity:
    points = tuple(
        SensitivityPoint(group, ratio, round(16 * ratio), 16, round(95 - 50 * ratio * i / 6), 100,
                         0.3, 9, 0.1)
        for i, group in enumerate(GROUPS)
        for ratio in (0.1, 0.3, 0.5, 0.7, 0.9)
    )  # fmt: skip
    return Sensitivity("l1", "val", 95, 0.1, 100, 100, (0.1, 0.3, 0.5, 0.7, 0.9), points, (), True,
                       chance=0.1)  # fmt: skip


def _course(*details: Details | None) -> Course:
    steps = tuple(
        CourseStep(n, "search", "", 0.0, 100 - n, 10, 1.0, NAN, 0.1, 0.5 + 0.1 * n, KEPT, each)
        for n, each in enumerate(details, 1)
    )
    return Course(GRAPH, "some", steps)


def _step(course: Course) -> Callable[..., Any]:
    return picture_of(course).draw


def _removals() -> Course:
    rng = np.random.default_rng(0)
    scores = rng.random((6, UNITS))
    kept = np.ones((6, UNITS), bool)
    for i in range(5):
        scores[i + 1 :, i] = NAN
        kept[i:, i] = False
    scores[:, ~GRAPH.prunable] = NAN
    return _course(*(Removals(scores[i : i + 1], kept[i : i + 1]) for i in range(6)))


def _zeroing() -> Course:
    rng = np.random.default_rng(0)
    return _course(
        *(Zeroing(("0", "2"), (8, 6), rng.random(14), rng.random(14) < 0.4) for _ in range(6))
    )


def _evolution() -> Course:
    rng = np.random.default_rng(0)
    return _course(
        *(Population(rng.random(12), rng.random(12), rng.random((12, OWN)) < 0.7) for _ in range(5))
    )


def _trust() -> Trust:
    points = tuple(
        TrustPoint("random", 0.5, 0.4 + 0.01 * i, 0.1, 0.3 + 0.01 * i, 0.9 + 0.002 * i,
                   0.95 + 0.001 * i)
        for i in range(12)
    )  # fmt: skip
    return Trust("resnet20", "digits", "repaired", 500, "test", 500, 5, 1000, 0, 0.99, points)


def _lab() -> LabResult:
    found = tuple(
        Finding(name, 0.5, (0.4, 0.6), {"pruned": [0.9 - 0.1 * i, 0.4, 0.1]})
        for i, name in enumerate(("taylor", "l1", "l2", "random", "fisher"))
    )
    return LabResult("oracle", "resnet20", "digits", "minutes", (0, 1), found, (), {"chance": 0.1},
                     "", "", "", 1.0)  # fmt: skip


def _tradeoff() -> Any:
    def point(key: str, kind: Any, macs: float, accuracy: float, series: str = "") -> Any:
        return figures.TradeoffPoint(key, f"resnet20: {key}", kind, macs * 4e7, macs * 2.7e5,
                                     accuracy, 500, series=series)  # fmt: skip

    return figures.tradeoff_info(
        [
            point("base", "baseline", 1.0, 0.99),
            point("a", "plan", 0.7, 0.985),
            point("b", "plan", 0.4, 0.93),
            point("c", "cut", 0.4, 0.5),
            point("d", "control", 0.4, 0.7, "d"),
            point("e", "fine-tuned", 0.4, 0.98),
            point("f", "running", 0.4, 0.97),
        ],
        chance=0.1,
    )


def _training() -> figures.TrainingInfo:
    runs = tuple(
        figures.RunCurve(f"resnet20: {name}, 50 % of the MACs", (0, 1, 2, 3),
                         (0.5, 0.8, 0.9, 0.95 + 0.01 * i), (2.0, 1.0, 0.7, 0.5),
                         (2.0, 1.2, 0.8, 0.6))
        for i, name in enumerate(STRATEGIES[:3])
    )  # fmt: skip
    return figures.TrainingInfo(runs, baseline=0.99, epochs=3, chance=0.1)


def _race() -> RaceInfo:
    points = tuple(
        RacePoint(name, name, 0.5 - 0.01 * i, 0.01, 0.9 + 0.01 * i, 0.002,
                  ((0.5, 0.9 + 0.01 * i), (0.49, 0.9)))
        for i, name in enumerate((*STRATEGIES, "control"))
    )  # fmt: skip
    return RaceInfo("resnet20 on digits, 10 epochs, 2 seeds", "test", 0.99, 0.5, points,
                    (("soft (He et al. 2018)", 0.58, 0.92),), 0.1)  # fmt: skip


def _study() -> PretrainingInfo:
    curves = tuple(
        StudyCurve(panel, start, (0.0, 0.3, 0.6, 0.8), (0.95, 0.945, 0.9, 0.5), (0.01,) * 4, 3)
        for panel in ("resnet20 on digits", "vgg11 on digits", "mobilenet_v2 on digits")
        for start in ("pretrained", "scratch")
    )
    return PretrainingInfo("test", curves)


def _alone() -> Alone:
    accuracy = np.array([0.95, 0.9, 0.7, NAN, 0.96])
    return Alone("layer1.0.conv1", 0.95, accuracy, accuracy - 0.95, 100, 100)


def _classes() -> figures.ClassesInfo:
    before = (0.99,) * 10
    after = (0.95, 0.9, 0.99, 0.98, 0.7, 0.99, 0.99, 0.97, 0.96, 0.99)
    return figures.ClassesInfo(CLASSES, before, after, (50,) * 10)


def _evaluation() -> Evaluation:
    right = (0.9, 0.8, *(1.0,) * 8)
    return Evaluation(0.97, 0.1, right, 500, CLASSES, np.zeros(500, np.int64))


COSTS = figures.CostsInfo(
    "MACs", tuple(f"layer{i}.0.conv1" for i in range(8)), (1e6,) * 8, (5e5,) * 4 + (1e6,) * 4
)
COMPARED = figures.compare_info(
    GRAPH, {"l1": SCORES, "taylor": SCORES * -1 + 3e-4 * (np.arange(UNITS) % 2)}, "l1", "taylor"
)
ANSWERS = {
    "unpruned": np.full(10, 0.1).tolist(),
    "the current plan, repaired": [0.55, *[0.05] * 9],
    "resnet20: Taylor pruning, fine-tuned": [0.1, 0.8, *[0.0125] * 8],
}
CHOICES = ("The filter with the larger norm", "The one whose removal costs most", "Neither of them")
BARS = LatencyInfo(
    ("unpruned", "resnet20: half of the MACs, fine-tuned"),
    (10.0, 8.0), (9.5, 7.5), (11.0, 9.0), (10.0, 5.0), 1, 2,
)  # fmt: skip
WIDTHS = WidthsInfo(
    "stage 1 stream: conv1 + 9 layers", (4, 8, 12, 16), (4.0, 5.0, 7.0, 8.0), (3.9, 4.9, 6.9, 7.9),
    (4.2, 5.2, 7.2, 8.2), (2.0, 4.0, 6.0, 8.0), (8, 12), 1, 2,
)  # fmt: skip
LAB = LabInfo(
    "resnet20 on digits", "accuracy after fine-tuning",
    (("taylor", 0.95, (0.94, 0.96)), ("l1", 0.93, (0.92, 0.94))),
    (("Molchanov et al. 2017, Table 1", 0.91), ("Li et al. 2017, Table 1", 0.9)), True, 0.1,
)  # fmt: skip
LAYERS = LayersInfo("", ("taylor", "l1"), ("conv1", "layer1.0.conv1"), ((0.9, 0.8), (0.2, None)))
MASK = np.stack([np.eye(4, dtype=np.int64)] * 2)
CONDUCTANCE = Conductance("layer1.0.conv1", np.linspace(-1, 1, 50).reshape(10, 5), 100)

FIGURES: dict[str, Piece] = {
    "overview": Piece(
        lambda **look: figures.overview_figure(
            figures.overview_info(GRAPH, SCORES, KEPT, criterion="l1"), **look
        ),
        ("3 layers", "3 of 24 filters pruned", "0: 2 of 8", "Cannot be pruned: 4"),
    ),
    "layer": Piece(
        lambda **look: figures.layer_figure(
            figures.layer_info(GRAPH, "0", SCORES, KEPT, criterion="l1"), **look
        ),
        ("8 filters of 0", "2 pruned", "filter 7 (7.00×10⁻⁵)"),
    ),
    "compare": Piece(
        lambda **look: figures.compare_figure(COMPARED, KEPT, **look),
        ("14 units", "l1", "taylor", "Spearman"),
    ),
    "spearman": Piece(
        lambda **look: figures.spearman_figure(COMPARED, **look), ("2 groups", "lowest", "highest")
    ),
    "trade-off": Piece(
        lambda **look: figures.tradeoff_figure(_tradeoff(), **look),
        ("7 networks", "baseline 99.0 %", "40.0 M", "98.5 % at 28.0 M"),
    ),
    "curves": Piece(
        lambda **look: figures.curves_figure(_scan(), tolerance=0.02, **look),
        ("7 groups", "baseline 95.0 %", GROUPS[-1]),
    ),
    "heat": Piece(
        lambda **look: figures.sensitivity_heat_figure(_scan(), **look), ("7 groups", GROUPS[-1])
    ),
    "costs": Piece(
        lambda **look: figures.costs_figure(COSTS, **look), ("8 layers", "6.00 M", "8.00 M")
    ),
    "training": Piece(
        lambda **look: figures.training_figure(_training(), **look),
        ("taylor", "95.0 %", "97.0 %", "baseline is 99.0 %"),
    ),
    "losses": Piece(
        lambda **look: figures.training_figure(_training(), "loss", **look),
        ("taylor", "2.000", "0.600"),
    ),
    "classes": Piece(
        lambda **look: figures.classes_figure(_classes(), **look),
        ("10 classes", "class number 4", "70.0 %"),
    ),
    "evaluation": Piece(
        lambda **look: figures.evaluation_figure(_evaluation(), **look),
        ("97.0 %", "500 images", "class number 1", "80.0 %"),
    ),
    "alone": Piece(
        lambda **look: alone_figure(_alone(), **look),
        ("5 filters", "layer1.0.conv1", "filter 2", "70.0 %", "Cannot be removed: filter 3"),
    ),
    "answers": Piece(
        lambda **look: answers_figure(ANSWERS, CLASSES, truth=0, **look),
        ("class number 0", "55.0 %", "class number 1", "80.0 %"),
    ),
    "conductance": Piece(
        lambda **look: conductance_figure(CONDUCTANCE, CLASSES, chosen=1, **look),
        ("5 filters", "100 images", "class number 9", "filter 4"),
    ),
    "lab": Piece(lambda **look: lab_figure(LAB, **look), ("taylor", "95.00 %", "Molchanov")),
    "lab layers": Piece(
        lambda **look: layers_figure(LAYERS, **look), ("taylor", "0.85", "l1", "0.20")
    ),
    "lab pruned": Piece(lambda **look: pruned_figure(_lab(), **look), ("taylor", "10.0 %")),
    "latency": Piece(
        lambda **look: latency_figure(BARS, **look), ("unpruned", "10 ms", "8 ms", "5 ms")
    ),
    "widths": Piece(
        lambda **look: widths_figure(WIDTHS, **look), ("16", "8 ms", "4", "8 and 12")
    ),
    "race": Piece(
        lambda **look: race_figure(_race(), **look),
        ("taylor", "90.00 %", "control", "97.00 %", "baseline 99.0 %"),
    ),
    "study": Piece(
        lambda **look: pretraining_figure(_study(), **look),
        ("vgg11 on digits", "pretrained", "30 %"),
    ),
    "trust": Piece(lambda **look: trust_figure(_trust(), **look), ("12 plans", "repaired", "1.00")),
    "masks": Piece(
        lambda **look: figures.masks_figure(
            np.full((2, 3, 4, 4), 99, np.uint8),
            {"truth": MASK, "the current plan": MASK * 0}, ("ground", "line"), **look,
        ),
        ("2 images", "truth: line 25.0 %", "the current plan: nothing"),
    ),
    "trust runs": Piece(
        lambda **look: runs_figure([("my run", 0.9, 0.95)], **look), ("my run", "90.0 %", "95.0 %")
    ),
    "votes": Piece(
        lambda **look: votes_figure(CHOICES, (1, 2, 0), 1, **look), (f"{CHOICES[1]} (right): 2",)
    ),
    "removals": Piece(_step(_removals()), ("5 filters removed",)),
    "zeroing": Piece(_step(_zeroing()), ("Step 6", "filters of all layers")),
    "trials": Piece(
        _step(_course(*(Trial(GRAPH.prunable_groups[0].name, 8, 0, 8 - i, 4, 0.5 + 0.1 * i, 0.7)
                        for i in range(4)))),
        ("4 trials", "2 passed"),
    ),
    "population": Piece(_step(_evolution()), ("Generation 4", "12 networks")),
    "genes": Piece(
        lambda **look: genes_figure(genes_info(GRAPH, KEPT), **look), ("3 of 14 genes are off",)
    ),
    "steps": Piece(_step(_course(None, None)), ("Step 2", "70.0 %")),
}  # fmt: skip
"""By name. A new kind of figure belongs here."""
