"""Image classifiers that transformers wrote into a folder."""

from __future__ import annotations

import json
import sys

import pytest
import torch

import pruneviz as pv
from pruneviz.catalog import describe_model, load_model
from pruneviz.errors import MissingExtraError, OfflineError, WeightsError
from tests.core.laws import check_laws, random_plan, shake

transformers = pytest.importorskip("transformers")

SMALL = {
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1]},
    "convnext": {"num_stages": 2, "hidden_sizes": [8, 12], "depths": [1, 1]},
    "mobilenet_v1": {"depth_multiplier": 0.25},
    "mobilenet_v2": {"depth_multiplier": 0.25},
    "efficientnet": {"width_coefficient": 0.25, "depth_coefficient": 0.3, "hidden_dim": 320},
    "regnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "groups_width": 4},
}


def build(kind: str, **more: object) -> torch.nn.Module:
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, num_labels=5, **SMALL[kind], **more)
    return shake(transformers.AutoModelForImageClassification.from_config(config))


@pytest.mark.slow
@pytest.mark.parametrize("kind", SMALL)
def test_laws(kind: str) -> None:
    """Outputs are objects with `.logits`."""
    model = build(kind)
    graph = pv.trace(model, (3, 64, 64))
    assert len(graph.prunable_groups) > 1
    images = torch.randn(2, 3, 64, 64)
    check_laws(model, graph, random_plan(graph, 0), images)
    assert [x.name for x in graph.layers if not x.prunable] == [graph.layers[-1].name]


@pytest.fixture
def folder(tmp_path):
    build("resnet").save_pretrained(tmp_path, safe_serialization=True)
    told = {"size": {"shortest_edge": 224}, "crop_pct": 0.875, "resample": 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(told))
    return tmp_path


def test_a_local_folder_loads_with_its_weights_and_preprocessing(folder) -> None:
    model = load_model(f"hf/{folder}", "pretrained")
    state = build("resnet").state_dict()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    loaded = describe_model(model)
    assert (loaded.family, loaded.classes, loaded.weights_classes) == ("resnet", 5, 5)
    assert loaded.preprocessing is not None
    assert (loaded.preprocessing.size, loaded.preprocessing.resize) == (224, 256)
    assert loaded.preprocessing.interpolation == "bicubic"
    assert describe_model(load_model(f"hf/{folder}", num_classes=3)).classes == 3


@pytest.mark.slow
def test_everything_up_to_a_pruned_accuracy(folder) -> None:
    data = pv.load_dataset("digits")
    model = load_model(f"hf/{folder}", "pretrained", num_classes=10)
    graph = pv.trace(model, data.input_shape)
    rank = pv.rank(model, graph, data, criteria=["l1", "taylor"])
    plan = pv.threshold(graph, rank, "taylor", 0.3)
    masked = pv.evaluate(pv.mask(model, graph, plan), data, limit=64)
    pruned = pv.evaluate(pv.prune(model, graph, plan), data, limit=64)
    assert pruned.loss == pytest.approx(masked.loss, rel=1e-4)
    for event in pv.fine_tune(pv.prune(model, graph, plan), data, epochs=1):
        assert event.loss > 0
        break


def test_what_is_no_classifier_is_refused_with_a_sentence(tmp_path) -> None:
    with pytest.raises(WeightsError, match=r"has no config\.json"):
        load_model(f"hf/{tmp_path}")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(WeightsError, match="cannot be read as an image classifier"):
        load_model(f"hf/{tmp_path}")


def test_offline_and_without_the_extra(monkeypatch) -> None:
    def no_network(*args, **options):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", no_network)
    with pytest.raises(OfflineError, match=r"huggingface\.co"):
        load_model("hf/somebody/some-network")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pruneviz\[hf\]'"):
        load_model("hf/somebody/another-network")
