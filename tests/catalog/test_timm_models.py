"""Networks of timm: its builder, its weights, its preprocessing, and the sentences without them."""

from __future__ import annotations

import json
import sys

import pytest
import torch

import pruneviz as pv
from pruneviz.catalog import describe_model, load_model, models, timm_models
from pruneviz.errors import MissingExtraError, OfflineError, UnknownNameError

timm = pytest.importorskip("timm")


def test_a_network_of_timm_loads_is_pruned_and_described() -> None:
    torch.manual_seed(0)
    model = load_model("timm/resnet10t", num_classes=5)
    loaded = describe_model(model)
    assert (loaded.source.name, loaded.classes) == ("timm/resnet10t", 5)
    assert loaded.input_shape == (3, 176, 176)
    graph = pv.trace(model, (3, 64, 64))
    assert pv.cost(graph).params == sum(p.numel() for p in model.parameters())
    small = pv.prune(model, graph, pv.Plan(graph).drop("layer1.0.conv1", range(10)))
    assert small(torch.zeros(1, 3, 64, 64)).shape == (1, 5)


def test_preprocessing_is_that_of_the_weights_in_timm() -> None:
    """Against timm's own transforms."""
    from PIL import Image

    from pruneviz.catalog.images import decode
    from pruneviz.data import normalise
    from tests.catalog.test_images import file

    name, tag = "resnetv2_50x1_bit", "goog_in21k_ft_in1k"
    found = timm_models.find(f"timm/{name}").preprocessing(tag)
    assert found.mean == found.std == (0.5, 0.5, 0.5)
    config = timm.get_pretrained_cfg(f"{name}.{tag}").to_dict()
    options = timm.data.resolve_data_config({}, pretrained_cfg=config)
    transform = timm.data.create_transform(**options)
    torch.manual_seed(0)
    pixels = torch.randint(0, 255, (60, 80, 3), dtype=torch.uint8).numpy()
    image = Image.fromarray(pixels).resize((520, 520), Image.Resampling.BICUBIC)
    ours = torch.from_numpy(decode(file(image), found.size, found.scaling))[None]
    ours = normalise(ours, found.mean, found.std)[0]
    assert ours.shape == (3, found.size, found.size)
    assert (ours - transform(image)).abs().mean() < 0.01


@pytest.mark.slow
def test_published_costs() -> None:
    """Multiply-adds (millions) at 160 pixels of two networks whose weights are standardised."""
    known = {"resnetv2_50x1_bit": 2_088, "nf_regnet_b0": 244}
    for name, millions in known.items():
        graph = pv.trace(timm.create_model(name), (3, 160, 160))
        assert pv.cost(graph).macs / 1e6 == pytest.approx(millions, rel=0.01)
        assert [x.reason for x in graph.layers if not x.prunable] == ["feeds the network's output"]


def test_the_weights_are_asked_of_timm_and_offline_is_one_sentence(monkeypatch) -> None:
    def no_network(*args, **options):
        assert options["pretrained"]
        try:
            raise ConnectionError("no route to host")
        except ConnectionError as error:
            raise RuntimeError("wrapped by a library") from error

    monkeypatch.setattr(timm, "create_model", no_network)
    with pytest.raises(OfflineError, match=r"'timm/resnet18d' had to be downloaded from") as raised:
        load_model("timm/resnet18d", "ra2_in1k")
    assert len(str(raised.value).splitlines()) == 1


def test_weights_of_timm_are_taken_as_its_loader_gives_them(monkeypatch) -> None:
    trained = timm.create_model("resnet10t")
    create = timm.create_model

    def loader(name, pretrained=False, **options):
        return trained if pretrained else create(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", loader)
    model = load_model("timm/resnet10t", "c3_in1k", num_classes=3)
    assert torch.equal(model.conv1[0].weight, trained.conv1[0].weight)
    loaded = describe_model(model)
    assert (loaded.weights_classes, loaded.classes) == (1000, 3)
    assert loaded.preprocessing is not None
    assert loaded.preprocessing.interpolation == "bicubic"


def test_unknown_names_list_the_choices() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'resnet18d'"):
        load_model("timm/resnet18dd")
    with pytest.raises(UnknownNameError, match="ra2_in1k"):
        load_model("timm/resnet18d", "imagenet-of-mine")


def test_without_timm_the_pip_command_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pruneviz\[timm\]'"):
        load_model("timm/resnet18")
    assert "timm/resnet10t" in set(models()["name"])  # the table is there all the same


def test_the_table_is_whole_and_what_it_lists_can_be_chosen() -> None:
    table = json.loads(timm_models.TABLE.read_text())
    assert table["command"] == "python -m tests.sweep_timm"
    assert {"seed", "commit", "timm", "torch"} <= set(table)
    tried = [row for row in table["networks"] if row["outcome"] != "not tried"]
    kept = [row for row in tried if row["outcome"] == "kept"]
    assert len(kept) >= 0.97 * len(tried)
    assert not [row["name"] for row in tried if row["outcome"] == "failed"]
    assert all(row["reason"] for row in tried if row["outcome"] == "refused")
    listed = models().set_index("name")
    for row in kept:
        assert listed.loc[f"timm/{row['name']}", "parameters"] == row["parameters"]
        assert timm.is_model(row["name"])
