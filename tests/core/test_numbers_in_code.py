"""Networks that cut tensors by numbers that their modules keep, and laws over them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pruneviz.errors import PlanError
from pruneviz.plan import Plan
from pruneviz.surgery import prune
from pruneviz.trace import trace
from tests.core.laws import check_laws, random_plan, shake
from tests.core.networks.registry import head

SHAPE = (3, 12, 12)
NETWORKS: dict[str, type[nn.Module]] = {}


def network(cls: type[nn.Module]) -> type[nn.Module]:
    NETWORKS[cls.__name__] = cls
    return cls


class ConvNorm(nn.Sequential):
    def __init__(self, entering: int, leaving: int, kernel: int = 1) -> None:
        super().__init__(
            nn.Conv2d(entering, leaving, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(leaving),
            nn.SiLU(),
        )


class C2f(nn.Module):
    """YOLOv8's block: both halves are kept, the second goes through bottlenecks."""

    def __init__(self, entering: int, leaving: int, bottlenecks: int = 2) -> None:
        super().__init__()
        self.c = leaving // 2
        self.cv1 = ConvNorm(entering, 2 * self.c)
        self.cv2 = ConvNorm((2 + bottlenecks) * self.c, leaving)
        self.m = nn.ModuleList(
            nn.Sequential(ConvNorm(self.c, self.c, 3), ConvNorm(self.c, self.c, 3))
            for _ in range(bottlenecks)
        )

    def forward(self, x):
        y = list(self.cv1(x).split((self.c, self.c), 1))
        for m in self.m:
            y.append(y[-1] + m(y[-1]))
        return self.cv2(torch.cat(y, 1))


@network
class Yolo(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 8, 3)
        self.first = C2f(8, 12)
        self.second = C2f(12, 8, 1)
        self.head = head(8)

    def forward(self, x):
        return self.head(self.second(F.max_pool2d(self.first(self.stem(x)), 2)))


@network
class UnequalPieces(nn.Module):
    """FasterNet's partial convolution: a few channels are worked on, the rest passes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 10, 3, padding=1)
        self.worked, self.rest = 3, 7
        self.partial = nn.Conv2d(3, 3, 3, padding=1)
        self.tail = nn.Conv2d(10, 6, 1)
        self.head = head(6)

    def forward(self, x):
        a, b = torch.split(F.relu(self.stem(x)), [self.worked, self.rest], dim=1)
        return self.head(self.tail(torch.cat((self.partial(a), b), 1)).sigmoid())


@network
class PiecesInAList(nn.Module):
    """Mixed kernels: the sizes are a list."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 9, 3, padding=1)
        self.sizes = [4, 3, 2]
        self.branches = nn.ModuleList(
            nn.Conv2d(c, c, k, padding=k // 2, groups=c)
            for c, k in zip(self.sizes, (1, 3, 5), strict=True)
        )
        self.tail = nn.Conv2d(9, 6, 1)
        self.head = head(6)

    def forward(self, x):
        parts = torch.split(F.relu(self.stem(x)), self.sizes, 1)
        parts = [branch(part) for branch, part in zip(self.branches, parts, strict=True)]
        return self.head(self.tail(torch.cat(parts, 1)))


@network
class Slices(nn.Module):
    """Cut by slices and by narrow; the number says where."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.half = 5
        self.left = nn.Conv2d(5, 6, 1)
        self.right = nn.Conv2d(3, 6, 1)
        self.third = nn.Conv2d(5, 6, 1)
        self.head = head(6)

    def forward(self, x):
        x = F.relu(self.stem(x))
        y = self.left(x[:, : self.half]) + self.right(x[:, self.half :])
        return self.head(y * self.third(x.narrow(1, 0, self.half)).sigmoid())


@network
class Res2(nn.Module):
    """Res2Net: pieces of one width, each fed by the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 4
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.tail = nn.Conv2d(12, 6, 1)
        self.head = head(6)

    def forward(self, x):
        pieces = torch.split(F.relu(self.stem(x)), self.width, 1)
        made = [pieces[0]]
        for conv, piece in zip(self.convs, pieces[1:], strict=True):
            made.append(F.relu(conv(made[-1] + piece)))
        return self.head(self.tail(torch.cat(made, 1)))


@network
class ViewedByNumbers(nn.Module):
    """A classifier on a map that is flattened to a size which was computed beforehand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, stride=2)
        self.conv2 = nn.Conv2d(6, 8, 3, stride=2)
        self.flat = 8 * 2 * 2
        self.linear1 = nn.Linear(self.flat, 10)
        self.linear2 = nn.Linear(10, 4)

    def forward(self, x):
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return self.linear2(F.relu(self.linear1(x.view(-1, self.flat))))


@network
class Blurred(nn.Module):
    """A fixed kernel for each channel; the number of groups is an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = 6
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.register_buffer("filt", torch.full((6, 1, 3, 3), 1 / 9))
        self.tail = nn.Conv2d(6, 5, 1)
        self.head = head(5)

    def forward(self, x):
        x = F.conv2d(F.relu(self.conv(x)), self.filt, stride=2, groups=self.channels)
        return self.head(self.tail(x))


@network
class ComputedWith(nn.Module):
    """The number also scales what is computed: fewer channels would be scaled by another one."""

    def __init__(self) -> None:
        super().__init__()
        self.c = 4
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.tail = nn.Conv2d(4, 6, 1)
        self.head = head(6)

    def forward(self, x):
        a, b = F.relu(self.stem(x)).split((self.c, self.c), 1)
        return self.head(self.tail(a + b) / self.c**0.5)


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    return shake(NETWORKS[name]())


@pytest.mark.parametrize("name", NETWORKS)
def test_laws(name: str) -> None:
    model = build(name)
    before = [dict(vars(module)) for module in model.modules()]
    graph = trace(model, SHAPE)
    assert all(
        type(value) is type(before[i][key])
        for i, module in enumerate(model.modules())
        for key, value in vars(module).items()
    ), "a number was not put back"
    assert graph.maskable
    images = torch.randn(2, *SHAPE)
    for seed in range(4):
        check_laws(model, graph, random_plan(graph, seed), images, functional=name == "Blurred")


@pytest.mark.parametrize(
    ("name", "free"),
    [
        ("Yolo", 11),
        ("UnequalPieces", 3),
        ("PiecesInAList", 5),
        ("Slices", 4),
        ("Res2", 4),
        ("ViewedByNumbers", 3),
        ("Blurred", 3),
    ],
)
def test_all_layers_but_the_last_can_be_pruned(name: str, free: int) -> None:
    graph = trace(build(name), SHAPE)
    assert sum(layer.prunable for layer in graph.layers) == free
    assert [x.reason for x in graph.layers if not x.prunable] == ["feeds the network's output"]


def test_numbers_follow() -> None:
    model = build("UnequalPieces")
    graph = trace(model, SHAPE)
    small = prune(model, graph, Plan(graph).drop("stem", [0, 5, 6]))
    assert (small.worked, small.rest) == (2, 5)
    assert (model.worked, model.rest) == (3, 7)
    with pytest.raises(PlanError, match="at least one must stay"):
        Plan(graph).drop("stem", [0, 1, 2])  # a piece of no channels


def test_a_number_that_is_computed_with_stays() -> None:
    graph = trace(build("ComputedWith"), SHAPE)
    assert (
        graph.layer("stem").reason
        == "its number of channels is read into c, and the code computes with it"
    )
    assert graph.layer("tail").prunable
