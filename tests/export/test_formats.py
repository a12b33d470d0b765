"""ONNX, .pt2 and plain PyTorch, loaded where PruneViz cannot be imported, give the same outputs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import pruneviz as pv
from pruneviz.data import DataSet
from pruneviz.errors import ExportError, MissingExtraError, UnknownNameError
from pruneviz.export.write import SUFFIXES, TOLERANCE
from tests.export.networks import BUNDLED, TIMM, TORCHVISION, pruned

RUNNING = ("python", "pt2", "onnx")


@pytest.fixture(scope="module")
def digits() -> DataSet:
    return pv.load_dataset("digits")


def needs(*libraries: str) -> None:
    for library in libraries:
        pytest.importorskip(library)


@pytest.mark.slow
def test_every_format_of_a_pruned_network_with_its_own_accuracy(
    tmp_path: Path, digits: DataSet
) -> None:
    needs("onnxruntime", "onnxscript")
    model = pv.load_model("resnet20", "digits")
    graph = pv.trace(model, (3, 32, 32))
    small = pv.prune(model, graph, pv.Plan(graph).drop("layer1.0.conv1", range(6)))
    formats = [f for f in SUFFIXES if f != "config"]  # see test_config.py
    files = pv.export(
        small, tmp_path / "out", input_shape=(3, 32, 32), formats=formats, data=digits
    )
    assert list(files) == formats
    assert all(path.is_file() for path in files.values())
    split = "test" if digits.test is not None else "val"
    right = pv.evaluate(small, digits, split=split, limit=256)
    for format in RUNNING:
        check = files.check(format)
        assert check.difference is not None
        assert check.difference < TOLERANCE
        assert check.correct == round(right.accuracy * right.count)
        assert check.milliseconds
    assert files.check("onnx").note == "opset 20, batch of any size"
    int8 = files.check("onnx-int8")
    assert int8.accuracy is not None
    assert abs(int8.accuracy - right.accuracy) < 0.05
    assert files["onnx-int8"].stat().st_size < files["onnx"].stat().st_size
    assert len(files.to_frame()) == len(formats)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "squeezenet1_1", "timm/seresnet18"])
def test_plain_pytorch(name: str, tmp_path: Path) -> None:
    if name.startswith("timm/"):
        needs("timm")
    network, shape = pruned(name)
    found = pv.export(network, tmp_path, input_shape=shape, formats=["python"])
    assert found.check("python").difference == pytest.approx(0, abs=TOLERANCE)


@pytest.mark.sweep
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [*BUNDLED, *TORCHVISION, *(f"timm/{n}" for n in TIMM)])
def test_all_formats(name: str, tmp_path: Path) -> None:
    needs("onnxruntime", "onnxscript", *(["timm"] if name.startswith("timm/") else []))
    network, shape = pruned(name)
    found = pv.export(network, tmp_path, input_shape=shape, formats=RUNNING)
    assert {c.format for c in found.checks} == set(RUNNING)
    assert all(c.difference is not None and c.difference < TOLERANCE for c in found.checks)
    assert found.check("onnx").note.endswith("batch of any size")


class _Escapes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x.mean((2, 3)) * float(x.max().item() > 0)


def test_an_operation_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"Tensor\.item"):
        pv.export(_Escapes(), tmp_path, input_shape=(3, 8, 8), formats=["python"])
    assert not list(tmp_path.iterdir())


class _Foreign(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        from torchvision.ops import roi_align

        whole = torch.tensor([[0.0, 0.0, 0.0, 6.0, 6.0]])
        return roi_align(self.conv(x), whole, 1)[:, :, 0, 0]


def test_an_operation_from_elsewhere_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="roi_align"):
        pv.export(_Foreign(), tmp_path, input_shape=(3, 8, 8), formats=["python"])


def test_unknown_formats_and_missing_extras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(UnknownNameError, match="onnx-int8"):
        pv.export(network, tmp_path, input_shape=(3, 8, 8), formats=["onxx"])
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pruneviz\[export\]'"):
        pv.export(network, tmp_path, input_shape=(3, 8, 8), formats=["onnx"])


@pytest.mark.slow
def test_a_file_that_does_something_else_is_not_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    from pruneviz.export.plain import source

    plain_module = importlib.import_module("pruneviz.export.plain")
    honest = source.plain_network

    def forged(*args: object, **options: object) -> source.PlainNetwork:
        plain = honest(*args, **options)  # type: ignore[arg-type]
        return source.PlainNetwork(
            plain.source, {name: 1.01 * value for name, value in plain.state.items()}
        )

    monkeypatch.setattr(plain_module, "plain_network", forged)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(ExportError, match="different outputs from the network"):
        pv.export(network, tmp_path, input_shape=(3, 8, 8), formats=["python"])
    assert not list(tmp_path.iterdir())
