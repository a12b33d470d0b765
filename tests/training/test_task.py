"""A loss and a metric of one's own: a small U-Net that segments, pruned, repaired, fine-tuned."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, interpolate

import pruneviz as pv
from pruneviz.data import DataSet, ImageSet
from pruneviz.training import mean_iou
from pruneviz.training.task import Task

TASK = Task(cross_entropy, mean_iou, "mIoU")


class UNet(nn.Module):
    """Two levels with a skip, three classes."""

    def __init__(self) -> None:
        super().__init__()
        self.down = self._block(3, 16)
        self.deep = self._block(16, 32)
        self.up = self._block(32 + 16, 16)
        self.head = nn.Conv2d(16, 3, 1)

    @staticmethod
    def _block(inputs: int, outputs: int) -> nn.Sequential:
        conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        high = self.down(x)
        low = self.deep(nn.functional.max_pool2d(high, 2))
        low = interpolate(low, scale_factor=2.0)
        return self.head(self.up(torch.cat([low, high], 1)))


def scenes(count: int, seed: int) -> ImageSet:
    """Bright squares (1) and striped discs (2) on noise (0), and their masks."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 90, (count, 3, 24, 24), generator=generator, dtype=torch.uint8)
    masks = torch.zeros(count, 24, 24, dtype=torch.int64)
    rows, columns = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
    for i, (x, y, u, v) in enumerate(
        torch.randint(4, 20, (count, 4), generator=generator).tolist()
    ):
        square = ((rows - x).abs() < 4) & ((columns - y).abs() < 4)
        disc = (rows - u) ** 2 + (columns - v) ** 2 < 16
        masks[i][square] = 1
        masks[i][disc] = 2
        images[i][:, square] += 120
        images[i][:, disc] = torch.where(columns[disc] % 2 == 0, 220, 20).to(torch.uint8)
    return ImageSet(images, masks)


@pytest.fixture(scope="module")
def data() -> DataSet:
    names = ("ground", "square", "disc")
    return DataSet("scenes", scenes(160, 0), scenes(60, 1), None, names, (3, 24, 24), {})


@pytest.fixture(scope="module")
def trained(data: DataSet) -> nn.Module:
    torch.manual_seed(0)
    model = UNet()
    *_, last = pv.fine_tune(model, data, epochs=8, lr=0.05, batch_size=16, task=TASK)
    assert last.accuracy > 0.8
    return model.eval()


def test_the_iou_by_hand() -> None:
    masks = torch.tensor([[[0, 0], [1, 1]]])
    logits = nn.functional.one_hot(torch.tensor([[[0, 1], [1, 1]]]), 3).permute(0, 3, 1, 2)
    assert mean_iou(logits, masks) == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_a_unet_is_measured_scanned_pruned_repaired_and_trained(
    trained: nn.Module, data: DataSet
) -> None:
    whole = pv.evaluate(trained, data, task=TASK)
    with torch.no_grad():
        x, y = next(data.val.batches(len(data.val)))
        outputs = trained(x)
    assert whole.accuracy == pytest.approx(mean_iou(outputs, y))
    assert whole.loss == pytest.approx(float(cross_entropy(outputs, y)), rel=1e-5)
    assert whole.measure == "mIoU"
    assert whole._repr_html_().count("mIoU") == 1
    graph = pv.trace(trained, data.input_shape)
    rank = pv.rank(trained, graph, None, ["l2"])
    *_, scan = pv.sensitivity(trained, graph, data, rank, "l2", (0.5,), task=TASK)
    assert scan.baseline == pytest.approx(whole.accuracy)
    plan = pv.threshold(graph, rank, "l2", 0.5)
    small, cut = pv.repair(trained, graph, plan, data), pv.prune(trained, graph, plan)
    repaired = pv.evaluate(small, data, task=TASK).accuracy
    assert repaired > pv.evaluate(cut, data, task=TASK).accuracy
    *_, last = pv.fine_tune(small, data, epochs=2, lr=0.02, batch_size=16, task=TASK)
    assert last.accuracy > repaired
    assert last.accuracy == pv.evaluate(small, data, task=TASK).accuracy


def test_every_way_to_measure_gives_the_tasks_metric(trained: nn.Module, data: DataSet) -> None:
    graph = pv.trace(trained, data.input_shape)
    rank = pv.rank(trained, graph, None, ["l2"])
    name = graph.prunable_groups[0].name
    plan = pv.threshold(graph, rank, "l2", {name: 0.5})
    *_, cut = pv.sensitivity(
        trained, graph, data, rank, "l2", (0.5,), groups=[name], after="cut", task=TASK
    )
    own = pv.evaluate(pv.prune(trained, graph, plan), data, task=TASK)
    assert cut.points[0].accuracy == pytest.approx(own.accuracy)


def test_what_a_task_must_not_do_is_a_sentence(trained: nn.Module, data: DataSet) -> None:
    loud = Task(cross_entropy, lambda outputs, labels: 7.0, "points")
    with pytest.raises(pv.errors.InvalidValueError, match="points was 7"):
        pv.evaluate(trained, data, task=loud)
    loose = Task(lambda o, y: cross_entropy(o, y, reduction="none"), mean_iou)
    with pytest.raises(pv.errors.InvalidValueError, match="one number as a tensor"):
        pv.evaluate(trained, data, task=loose)
    with pytest.raises(pv.errors.InvalidValueError, match="teacher needs classes"):
        pv.fine_tune(trained, data, task=TASK, teacher=trained)
