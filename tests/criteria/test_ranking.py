"""rank()'s arguments and errors, and the Ranking that it returns."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import pruneviz as pv
from pruneviz.criteria import Ranking
from pruneviz.criteria.run import balanced
from pruneviz.data import DataSet, ImageSet
from pruneviz.errors import DataError, InvalidValueError, StorageError, UnknownNameError
from tests.core.laws import shake
from tests.criteria.networks import Residual, Shared, tiny_data

SHAPE = (3, 16, 16)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return shake(Residual())


@pytest.fixture(scope="module")
def graph(model):
    return pv.trace(model, SHAPE)


@pytest.fixture(scope="module")
def ranking(model, graph) -> Ranking:
    return pv.rank(model, graph, tiny_data(), ["l1", "taylor", "random", "fisher"])


# -- what rank() accepts --------------------------------------------------------------------------


def test_one_name_will_do_and_none_is_refused(model, graph) -> None:
    assert pv.rank(model, graph, None, "l1").criteria == ("l1",)
    assert pv.rank(model, graph, None, ["l2", "l1", "l2"]).criteria == ("l2", "l1")
    with pytest.raises(InvalidValueError, match="at least one criterion"):
        pv.rank(model, graph, None, [])


def test_unknown_names_list_the_choices(model, graph, ranking) -> None:
    with pytest.raises(UnknownNameError, match=r"'tailor'. Did you mean 'taylor'\? Choose one of"):
        pv.rank(model, graph, None, ["l1", "tailor"])
    with pytest.raises(UnknownNameError, match=r"Unknown criterion 'apoz'\. Choose one of: "):
        ranking.of("apoz")
    with pytest.raises(UnknownNameError, match="criterion 'apoz'"):
        ranking.figure("apoz")


def test_without_data(model, graph) -> None:
    with pytest.raises(InvalidValueError, match="Criteria 'taylor', 'apoz' look at images"):
        pv.rank(model, graph, None, ["l1", "taylor", "apoz"])


@pytest.mark.parametrize("options", [{"images": 0}, {"batch_size": -1}, {"images": 2.5}])
def test_counts_below_one(model, graph, options) -> None:
    with pytest.raises(InvalidValueError, match=r"must be a whole number from 1, but got"):
        pv.rank(model, graph, tiny_data(), "taylor", **options)


def test_a_graph_of_another_network(graph) -> None:
    with pytest.raises(InvalidValueError, match="traced from another network"):
        pv.rank(Shared(), graph, None, "l1")


def test_more_classes_than_outputs(model, graph) -> None:
    data = tiny_data()
    odd = ImageSet(data.train.images, data.train.labels + 3)
    data = DataSet("odd", odd, odd, None, tuple("abcdefg"), SHAPE, {"name": "odd"})
    with pytest.raises(DataError, match="each of the 7 classes, but its output"):
        pv.rank(model, graph, data, "taylor")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(bad) -> None:
    model = shake(Residual())
    graph = pv.trace(model, SHAPE)
    with torch.no_grad():
        model.conv2.weight[1, 2] = bad
    with pytest.raises(InvalidValueError, match="Layer 'conv2' has a weight that is not finite"):
        pv.rank(model, graph, None, "l1")


@pytest.mark.parametrize("name", ["apoz", "taylor", "taylor_weight", "std_activation"])
def test_activations_that_are_no_numbers(name) -> None:
    model = shake(Residual())
    graph = pv.trace(model, SHAPE)
    with torch.no_grad():
        model.bn1.running_var[0] = -1.0
    with pytest.raises(InvalidValueError, match="The feature map of layer 'conv1' holds values"):
        pv.rank(model, graph, tiny_data(), name)


def test_layers_without_gradients_are_named() -> None:
    class Cut(Residual):
        def forward(self, x):
            with torch.no_grad():
                x = self.relu(self.bn(self.stem(x)))
            return super().forward(x)

    class Halting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.conv2 = torch.nn.Conv2d(3, 6, 3), torch.nn.Conv2d(6, 6, 3)
            self.fc = torch.nn.Linear(6, 4)

        def forward(self, x):
            with torch.no_grad():
                x = self.conv1(x)
            return self.fc(self.conv2(x).mean((2, 3)))

    model = Halting()
    graph = pv.trace(model, SHAPE)
    with pytest.raises(InvalidValueError, match="No gradient reaches layer 'conv1'"):
        pv.rank(model, graph, tiny_data(), "taylor")
    pv.rank(model, graph, tiny_data(), ["apoz", "l1"])


def test_progress_and_stopping(model, graph) -> None:
    seen = []
    names = ["l1", "taylor", "oracle", "conductance"]
    pv.rank(model, graph, tiny_data(), names, batch_size=4, progress=lambda *a: seen.append(a))
    done = [d for d, _ in seen]
    assert {total for _, total in seen} == {33}
    assert done == sorted(done)
    assert done[-1] == 33

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pv.rank(model, graph, tiny_data(), "taylor", batch_size=4, progress=stop)


def test_the_sample_is_balanced() -> None:
    labels = np.repeat([0, 1, 2], [50, 5, 45])
    rows = balanced(labels, 12, seed=0)
    assert len(set(rows)) == 12
    assert np.bincount(labels[rows]).tolist() == [4, 4, 4]
    rows = balanced(labels, 25, seed=0)
    assert np.bincount(labels[rows]).tolist() == [10, 5, 10]
    assert sorted(balanced(labels, 1000, seed=3)) == list(range(100))


# -- what a Ranking does --------------------------------------------------------------------------


def test_scores_are_read_only(ranking) -> None:
    with pytest.raises(ValueError, match="read-only"):
        ranking.of("l1")[0] = 3.0
    with pytest.raises(TypeError):
        ranking.scores["l1"] = np.zeros(3)


def test_comparable_scores(graph, ranking) -> None:
    for group in graph.prunable_groups:
        units = list(group.units)
        own = ranking.of("taylor")[units]
        np.testing.assert_allclose(
            ranking.comparable("taylor")[units], own / np.sqrt((own**2).sum())
        )
    np.testing.assert_array_equal(ranking.comparable("fisher"), ranking.of("fisher"))
    none = Ranking(graph, {"taylor": np.zeros(graph.num_units)})
    assert (none.comparable("taylor")[graph.prunable] == 0).all()


def test_thresholds_take_it(graph, ranking) -> None:
    plan = pv.threshold(graph, ranking, "taylor", 0.5)
    group = graph.group("conv1")
    lowest = np.argsort(ranking.layer("taylor", "conv1"))[:3]
    assert plan.by_group()[group.name] == tuple(sorted(lowest.tolist()))
    assert len(pv.threshold(graph, ranking, "taylor", 0.3, scope="global")) == round(0.3 * 14)


def test_correlation(graph, ranking) -> None:
    units = graph.prunable
    expected = spearmanr(ranking.comparable("l1")[units], ranking.comparable("taylor")[units])
    assert ranking.correlation("l1", "taylor") == pytest.approx(expected.statistic)
    by_layer = ranking.correlation("l1", "taylor", per="layer")
    assert set(by_layer) == {"stem", "conv1", "conv2", "proj"}
    assert by_layer["stem"] == by_layer["proj"]
    one = spearmanr(ranking.layer("l1", "conv1"), ranking.layer("taylor", "conv1")).statistic
    assert by_layer["conv1"] == pytest.approx(one)
    assert set(ranking.correlation("l1", "taylor", per="group")) == {"stem", "conv1"}
    constant = Ranking(graph, {"a": np.ones(graph.num_units), "l1": ranking.of("l1")})
    assert np.isnan(constant.correlation("a", "l1", per="group")["conv1"])
    with pytest.raises(UnknownNameError, match="Unknown way to correlate 'filter'"):
        ranking.correlation("l1", "taylor", per="filter")


def test_disagreements(graph) -> None:
    a = np.arange(graph.num_units, dtype=float)
    b = a.copy()
    start = graph.group("conv1").start
    b[[start, start + 5]] = b[[start + 5, start]]
    found = Ranking(graph, {"a": a, "b": b}).disagreements("a", "b", 3)
    assert found["unit"].tolist()[:2] == [start, start + 5]
    assert found["rank by a"].tolist()[:2] == [0, 1]
    assert found["rank by b"].tolist()[:2] == [1, 0]


def test_frame_and_figure(graph, ranking) -> None:
    frame = ranking.to_frame()
    assert len(frame) == int(graph.prunable.sum()) == 14
    assert list(frame.columns) == [
        "unit",
        "group",
        "index",
        "filters",
        "l1",
        "taylor",
        "random",
        "fisher",
    ]
    row = frame.set_index("unit").loc[graph.unit_of("stem", 2)]
    assert row["filters"] == "stem [2], conv2 [2], proj [2]"
    assert row["taylor"] == ranking.layer("taylor", "conv2")[2]
    assert ranking.figure().layout.title.text == "Filters by l1"
    assert ranking.figure("taylor", pv.Plan(graph).drop("conv1", 2)).data


def test_joining(model, graph, ranking) -> None:
    other = pv.rank(model, graph, None, ["l2", "l1"])
    both = ranking | other
    assert set(both.scores) == {"l1", "taylor", "random", "fisher", "l2"}
    assert both.images == 11
    shared = Shared()
    foreign = pv.rank(shared, pv.trace(shared, SHAPE), None, "l1")
    with pytest.raises(InvalidValueError, match="of the same network"):
        ranking | foreign


def test_stored_and_read_again(graph, ranking, tmp_path) -> None:
    again = Ranking.load(graph, ranking.save(tmp_path / "ranking.json"))
    copied = pickle.loads(pickle.dumps(ranking))
    for name in ranking.scores:
        np.testing.assert_array_equal(again.of(name), ranking.of(name))
        np.testing.assert_array_equal(copied.of(name), ranking.of(name))
    assert (again.images, again.seconds) == (ranking.images, ranking.seconds)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not"),
        ("[1]", "but got 'list'"),
        ('{"format": "pruneviz-plan/1"}', "pruneviz-plan/1"),
        ('{"format": "pruneviz-ranking/1", "network": "0"}', "made for another network"),
        ('{"format": "pruneviz-ranking/1", "network": "?"}', "damaged"),
        (
            '{"format": "pruneviz-ranking/1", "network": "?", "images": 1, "seconds": 1,'
            ' "scores": {"l1": [1, 2]}}',
            "each of the 14 prunable units",
        ),
    ],
)
def test_texts_that_are_no_rankings(graph, text, says) -> None:
    with pytest.raises(InvalidValueError, match=says):
        Ranking.from_json(graph, text.replace('"?"', f'"{graph.digest}"'))


def test_files_that_are_not_there(graph, ranking, tmp_path) -> None:
    with pytest.raises(StorageError, match="no ranking to read"):
        Ranking.load(graph, tmp_path / "none.json")
    with pytest.raises(StorageError, match="cannot be written"):
        ranking.save(tmp_path / "none" / "ranking.json")


def test_stored_rankings_load_without_torch(graph, ranking, tmp_path) -> None:
    (tmp_path / "graph").write_bytes(pickle.dumps(graph))
    (tmp_path / "pickle").write_bytes(pickle.dumps(ranking))
    ranking.save(tmp_path / "json")
    code = (
        "import pickle, sys\nfrom pathlib import Path\n"
        "from pruneviz.criteria import Ranking, criteria\n"
        f"here = Path({str(tmp_path)!r})\n"
        "graph = pickle.loads((here / 'graph').read_bytes())\n"
        "one = Ranking.load(graph, here / 'json')\n"
        "two = pickle.loads((here / 'pickle').read_bytes())\n"
        "print(one.correlation('l1', 'taylor') == two.correlation('l1', 'taylor'),"
        " len(one.to_frame()), len(criteria()) > 10, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert out.stdout.split() == ["True", "14", "True", "False"], out.stderr
