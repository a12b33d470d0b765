"""A pruned network as its library's own config and weights, loaded with that library alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import pruneviz as pv
from pruneviz.errors import ExportError
from pruneviz.export import library
from pruneviz.export.check_files import run_config
from pruneviz.outputs import logits
from tests.core.laws import shake

HF: dict[str, dict[str, Any]] = {
    "ResNet": {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 2]},
    "RegNet": {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [1, 2], "groups_width": 8},
    "ConvNext": {"num_stages": 2, "hidden_sizes": [8, 16], "depths": [1, 1]},
    "MobileNetV1": {"depth_multiplier": 0.25},
    "MobileNetV2": {},
}
TIMM = ("test_resnet", "test_convnext")


def made(name: str) -> nn.Module:
    if name in HF:
        transformers = pytest.importorskip("transformers")
        config = getattr(transformers, f"{name}Config")(num_labels=5, **HF[name])
        return shake(getattr(transformers, f"{name}ForImageClassification")(config))
    timm = pytest.importorskip("timm")
    return shake(timm.create_model(name, num_classes=5))


def half(graph: pv.ChannelGraph) -> pv.Plan:
    """Every other unit of every group."""
    return pv.Plan(graph, [u for g in graph.prunable_groups for u in list(g.units)[::2]])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*HF, *TIMM])
def test_one_ratio_for_all_groups(name: str, tmp_path: Path) -> None:
    model, shape = made(name), (3, 64, 64)
    graph = pv.trace(model, shape)
    small = pv.prune(model, graph, half(graph)).eval()
    library.write_config(small, tmp_path)
    told = json.loads((tmp_path / "config.json").read_text())
    kind = told.get("model_type") or type(small).__module__.rpartition(".")[2]
    known = library.TRANSFORMERS if name in HF else library.TIMM
    for key, value in known[kind](small).items():
        assert {**told, **told.get("model_args", {})}[key] == value
    assert not list(tmp_path.glob("*.bin")), "safetensors, no pickle"
    images = torch.randn(2, *shape)
    outputs, _ = run_config(tmp_path, images)
    with torch.no_grad():
        assert torch.allclose(outputs, logits(small(images)), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ConvNext", "test_resnet"])
def test_the_export_checks_it_with_that_library_alone(name: str, tmp_path: Path) -> None:
    model, shape = made(name), (3, 64, 64)
    graph = pv.trace(model, shape)
    small = pv.prune(model, graph, half(graph))
    files = pv.export(small, tmp_path, input_shape=shape, formats=["config"])
    check = files.check("config")
    assert check.difference == pytest.approx(0, abs=1e-6)
    assert check.note.startswith("transformers" if name in HF else "timm")
    assert (files["config"] / "config.json").is_file()
    assert int(files.to_frame()["kB"][0]) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ResNet", "test_resnet"])
def test_widths_that_a_config_cannot_express_are_named(name: str, tmp_path: Path) -> None:
    model, shape = made(name), (3, 64, 64)
    graph = pv.trace(model, shape)
    inner = next(g for g in graph.prunable_groups[::-1] if len(g.layers) == 1)
    small = pv.prune(model, graph, pv.Plan(graph, list(inner.units)[:3]))
    with pytest.raises(ExportError, match=r"cannot express this plan: with .* has the shape"):
        pv.export(small, tmp_path, input_shape=shape, formats=["config"])
    assert not list(tmp_path.iterdir())


def test_networks_without_such_a_config(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ExportError, match="Only networks of timm and transformers"):
        pv.export(network, tmp_path, input_shape=(3, 8, 8), formats=["config"])
    with pytest.raises(ExportError, match="for 'byobnet'; it can for resnet, convnext, densenet"):
        pv.export(made("test_byobnet"), tmp_path, input_shape=(3, 64, 64), formats=["config"])
    assert not list(tmp_path.iterdir())
