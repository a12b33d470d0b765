"""Loading networks: names, weights, classes, and what is known of them afterwards."""

from __future__ import annotations

import copy
import json
import warnings

import pytest
import safetensors.torch
import torch
from torch import nn
from torchvision import models as zoo

from pruneviz.catalog import torchvision_models
from pruneviz.catalog.heads import classifier_names, count_classes, replace_classifier
from pruneviz.catalog.models import LoadedModel, ModelSource, describe_model, load_model, models
from pruneviz.catalog.registry import architectures, find_architecture
from pruneviz.errors import InvalidValueError, UnknownNameError, WeightsError

# One of each of torchvision's families, the smallest. AlexNet and VGG, whose classifiers fill half
# a gigabyte, come without values further down.
FAMILIES = [
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "mnasnet0_5",
    "torchvision/mobilenet_v2",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "regnet_y_400mf",
    "resnet18",
    "resnext50_32x4d",
    "shufflenet_v2_x0_5",
    "squeezenet1_0",
]


def equal(a: nn.Module, b: nn.Module) -> bool:
    first, second = a.state_dict(), b.state_dict()
    return list(first) == list(second) and all(torch.equal(first[k], second[k]) for k in first)


def test_the_frame_tells_every_network_once():
    frame = models()
    assert frame["name"].is_unique
    assert {"resnet20", "vgg16", "mobilenet_v2", "torchvision/vgg16", "resnet50"} <= {
        *frame["name"]
    }
    ours = frame[frame["source"] != "timm"]
    assert not ours["name"].str.contains("vit|swin|maxvit").any()
    assert frame["name"][:3].tolist() == ["resnet20", "vgg16", "mobilenet_v2"]
    assert (frame["parameters"] > 0).all()
    bundled = frame[frame["source"] == "bundled"]
    assert bundled["weights"].str.contains("digits, cifar10").all()
    imagenet = frame[frame["source"] == "torchvision"]
    assert len(imagenet) == len(torchvision_models.names())
    assert imagenet["weights"].str.startswith("imagenet").all()


def test_every_cnn_of_torchvision_is_there_and_nothing_else():
    transformers = ("vit", "swin", "maxvit")
    expected = [n for n in zoo.list_models(module=zoo) if not n.startswith(transformers)]
    found = [a.plain for a in architectures().values() if a.source == "torchvision"]
    assert sorted(found) == sorted(expected)
    assert all(a.family for a in architectures().values())


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_loads_its_own_weights_with_other_classes(name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.manual_seed(1)
        model = load_model(name, num_classes=7)
    assert not model.training
    told = describe_model(model)
    assert (told.classes, told.weights_classes, told.classifier_replaced) == (7, None, False)
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(model.state_dict(), path)

    again = load_model(name, path)  # the number of classes is read from the file
    assert describe_model(again).classes == 7
    assert equal(model, again)

    other = load_model(name, str(path), num_classes=4)
    told = describe_model(other)
    assert (told.classes, told.weights_classes, told.classifier_replaced) == (4, 7, True)
    assert "fine-tune it first" in told.note
    heads = {f"{head}.{part}" for head in classifier_names(other) for part in ("weight", "bias")}
    assert len(heads) == 2 * len(classifier_names(model))
    before, after = model.state_dict(), other.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before if k not in heads)
    assert all(after[head].shape[0] == 4 for head in heads)
    size = 299 if name == "inception_v3" else 64
    with torch.no_grad():
        assert other(torch.zeros(1, 3, size, size)).shape == (1, 4)


@pytest.mark.parametrize("name", ["alexnet", "vgg11", "torchvision/vgg16", "vgg19_bn"])
def test_classifiers_of_large_networks_are_replaced_too(name):
    with torch.device("meta"):
        model = find_architecture(name).build()
        replace_classifier(model, 6)
    assert classifier_names(model) == ("classifier.6",)
    assert count_classes(model) == 6


@pytest.mark.parametrize("name", ["resnet20", "resnet56", "vgg16", "mobilenet_v2", "resnet18"])
def test_parameters_in_the_frame_are_the_models(name):
    frame = models().set_index("name")
    count = sum(p.numel() for p in load_model(name).parameters())
    assert frame.loc[name, "parameters"] == count


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_heads_are_as_torchvision_gives_them_with_weights(name, tmp_path):
    model = load_model(name)
    assert sum(p.numel() for p in model.parameters()) == torchvision_models.meta(name)[0]
    assert model.transform_input
    with_other_heads = torchvision_models.build(name, 5, ["aux1"] if name == "googlenet" else ["a"])
    torch.save(with_other_heads.state_dict(), tmp_path / "w.pt")
    assert equal(load_model(name, tmp_path / "w.pt"), with_other_heads)


def test_random_weights_follow_the_callers_seed():
    torch.manual_seed(3)
    first = load_model("resnet20")
    second = load_model("resnet20")
    torch.manual_seed(3)
    assert equal(first, load_model("resnet20"))
    assert not equal(first, second)


def test_loading_weights_leaves_the_random_state(tmp_path):
    torch.save(load_model("resnet20").state_dict(), tmp_path / "w.pt")
    before = torch.get_rng_state()
    load_model("resnet20", tmp_path / "w.pt")
    assert torch.equal(before, torch.get_rng_state())


def test_names_of_torchvision_with_and_without_prefix():
    assert find_architecture("torchvision/resnet50") is find_architecture("resnet50")
    assert find_architecture("vgg16").source == "bundled"
    assert find_architecture("torchvision/vgg16").source == "torchvision"
    assert isinstance(load_model("torchvision/squeezenet1_0"), zoo.SqueezeNet)


@pytest.mark.parametrize("name", ["resnet21", "torchvision/resnet20", "vit_b_16", "", 7, None])
def test_unknown_names_list_the_choices(name):
    with pytest.raises(UnknownNameError, match=r"Unknown model .*Choose one of: resnet20"):
        load_model(name)


def test_unknown_weights_list_the_choices():
    with pytest.raises(UnknownNameError, match=r"resnet20 weights 'imagenet'.*digits.*cifar10"):
        load_model("resnet20", "imagenet")
    with pytest.raises(UnknownNameError, match="'torchvision/vgg16'"):
        load_model("vgg16", "imagenet")
    with pytest.raises(UnknownNameError, match="imagenet, IMAGENET1K_V1"):
        load_model("resnet50", "digits")
    with pytest.raises(UnknownNameError):  # its classifier is not a number
        load_model("torchvision/vgg16", "IMAGENET1K_FEATURES")


@pytest.mark.parametrize("classes", [0, 1, -3, True, 2.5, "10"])
def test_classes_that_make_no_classifier(classes):
    with pytest.raises(InvalidValueError, match="a whole number from 2 to 100,000"):
        load_model("resnet20", num_classes=classes)


def test_weights_of_another_network_are_refused_with_the_tensors(tmp_path):
    torch.save(load_model("resnet32").state_dict(), tmp_path / "resnet32.pt")
    with pytest.raises(WeightsError, match=r"'resnet32.pt' does not fit 'resnet20'.*layer1\.3"):
        load_model("resnet20", tmp_path / "resnet32.pt")
    with pytest.raises(WeightsError, match="There is no weights file"):
        load_model("resnet20", "nowhere/weights.pt")


def test_a_source_loads_the_same_network_again(tmp_path):
    torch.save(load_model("resnet20").state_dict(), tmp_path / "w.pt")
    for source in (
        ModelSource("resnet20"),
        ModelSource("resnet20", str(tmp_path / "w.pt"), 3),
        ModelSource("resnet20", str(tmp_path / "w.pt"), 3, seed=1),
    ):
        before = torch.get_rng_state()
        first = source.load()
        assert torch.equal(before, torch.get_rng_state())
        again = ModelSource.from_dict(json.loads(json.dumps(source.to_dict())))
        assert again == source
        assert equal(first, again.load())
        assert describe_model(first).source == source
    assert not equal(ModelSource("resnet20").load(), ModelSource("resnet20", seed=1).load())


def test_the_digest_of_a_source_follows_the_files_content(tmp_path):
    path = tmp_path / "w.pt"
    torch.save(load_model("resnet20").state_dict(), path)
    source = ModelSource("resnet20", str(path))
    first = source.digest
    assert first == ModelSource("resnet20", str(path)).digest
    assert first != ModelSource("resnet20").digest
    torch.save(load_model("resnet20").state_dict(), path)
    assert source.digest != first
    path.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        _ = source.digest


@pytest.mark.parametrize(
    "data", [{}, {"name": 3}, {"name": "resnet20", "x": 1}, {"name": "a", "num_classes": "2"}, 5]
)
def test_sources_that_are_none(data):
    with pytest.raises(InvalidValueError, match="model source"):
        ModelSource.from_dict(data)


def test_copies_know_where_they_come_from_and_others_do_not():
    model = load_model("resnet20")
    assert isinstance(describe_model(copy.deepcopy(model)), LoadedModel)
    assert describe_model(model).needs_fine_tuning
    assert "random weights" in describe_model(model).note
    with pytest.raises(InvalidValueError, match="load_model"):
        describe_model(nn.Linear(2, 2))


def test_the_number_of_classes_in_weights():
    model = load_model("squeezenet1_0", num_classes=5)
    assert count_classes(model) == 5
    assert count_classes(model, model.state_dict()) == 5
    assert count_classes(model, {}) == 0
    replace_classifier(model, 3)
    assert model.num_classes == 3


def test_densenets_first_names():
    state = {"features.denseblock1.denselayer1.norm.1.weight": torch.ones(1)}
    assert set(torchvision_models.adapt("densenet121", state)) == {
        "features.denseblock1.denselayer1.norm1.weight"
    }
    assert torchvision_models.adapt("resnet18", state) == state


def test_another_normalisation_is_folded_into_the_first_layers():
    torch.manual_seed(0)
    model = zoo.efficientnet_v2_s().eval()
    stem = model.features[0]
    for p in (stem[1].weight, stem[1].bias, stem[1].running_mean):
        nn.init.normal_(p)
    pixels = torch.rand(2, 3, 33, 33)
    shape = (1, 3, 1, 1)
    mean, std = torch.tensor(torchvision_models.MEAN), torch.tensor(torchvision_models.STD)
    with torch.no_grad():
        expected = stem((pixels - 0.5) / 0.5)
        state = torchvision_models.renormalise(model.state_dict(), (0.5,) * 3, (0.5,) * 3)
        model.load_state_dict(state)
        found = stem((pixels - mean.view(shape)) / std.view(shape))
    torch.testing.assert_close(found[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


@pytest.mark.parametrize(
    ("name", "weights", "classes"),
    [
        ("resnet20", "cifar10-hub", 10),
        ("resnet56", "cifar10", 10),
        ("squeezenet1_0", "imagenet", 1000),
    ],
)
def test_downloaded_weights_load_from_torch_hubs_folder(
    shared, monkeypatch, name, weights, classes
):
    monkeypatch.setenv("TORCH_HOME", str(shared / "torch"))
    model = load_model(name, weights)
    told = describe_model(model)
    assert (told.classes, told.weights_classes, told.note) == (classes, classes, "")
    assert weights in models().set_index("name").loc[name, "offline"]
    replaced = load_model(name, weights, num_classes=2)
    assert describe_model(replaced).classifier_replaced
    with torch.no_grad():
        assert replaced(torch.zeros(1, 3, 64, 64)).shape == (1, 2)
