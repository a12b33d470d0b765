"""The laws over networks whose weights are computed while they run."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
import torch.nn.utils.prune
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from pruneviz.cost import cost
from pruneviz.criteria.evidence import Evidence
from pruneviz.plan import Plan
from pruneviz.surgery import mask, prune
from pruneviz.trace import trace
from tests.core.laws import check_laws, count_macs_by_calls, random_plan, relative_error, shake

SHAPE = (3, 12, 12)
MAKERS = {}


def maker(make):
    MAKERS[make.__name__] = make
    return make


def chain(*convolutions: nn.Module, width: int) -> nn.Module:
    """Convolutions with an activation that does not map zero to zero between them."""
    parts: list[nn.Module] = []
    for convolution in convolutions:
        parts += [convolution, nn.Sigmoid()]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4))


@maker
def weight_norm():
    return chain(
        parametrizations.weight_norm(nn.Conv2d(3, 8, 3)),
        parametrizations.weight_norm(nn.Conv2d(8, 6, 3, groups=2)),
        parametrizations.weight_norm(nn.Conv2d(6, 6, 3, groups=6)),
        parametrizations.weight_norm(nn.Conv2d(6, 5, 1)),
        width=5,
    )


@maker
def weight_norm_over_other_dimensions():
    return chain(
        parametrizations.weight_norm(nn.Conv2d(3, 8, 3)),
        parametrizations.weight_norm(nn.ConvTranspose2d(8, 6, 3), dim=1),
        parametrizations.weight_norm(nn.Conv2d(6, 7, 3), dim=1),
        parametrizations.weight_norm(nn.Conv2d(7, 5, 1), dim=None),
        width=5,
    )


@maker
def weight_norm_by_a_hook():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return chain(
            nn.utils.weight_norm(nn.Conv2d(3, 8, 3)),
            nn.utils.weight_norm(nn.Conv2d(8, 6, 3)),
            nn.utils.weight_norm(nn.Conv2d(6, 6, 1, groups=3)),
            width=6,
        )


@maker
def spectral_norm():
    return chain(
        parametrizations.spectral_norm(nn.Conv2d(3, 8, 3)),
        parametrizations.spectral_norm(nn.Conv2d(8, 6, 3)),
        parametrizations.spectral_norm(nn.ConvTranspose2d(6, 5, 2)),
        width=5,
    )


@maker
def spectral_norm_by_a_hook():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return chain(
            nn.utils.spectral_norm(nn.Conv2d(3, 8, 3)),
            nn.utils.spectral_norm(nn.Conv2d(8, 6, 3)),
            width=6,
        )


class Scaled(nn.Module):
    """A learned scale for each filter, in the log domain."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.randn(filters, 1, 1, 1) * 0.3)

    def forward(self, weight):
        return weight * self.log.exp()


class Ternary(nn.Module):
    def forward(self, weight):
        return weight.sign() * weight.abs().mean(dim=(1, 2, 3), keepdim=True)


def parametrised(convolution: nn.Module, part: nn.Module) -> nn.Module:
    parametrize.register_parametrization(convolution, "weight", part)
    return convolution


@maker
def a_parametrisation_of_ones_own():
    return chain(
        parametrised(nn.Conv2d(3, 8, 3), Scaled(8)),
        parametrised(nn.Conv2d(8, 6, 3), Scaled(6)),
        parametrised(nn.Conv2d(6, 5, 3), Ternary()),
        width=5,
    )


@maker
def unstructured_masks():
    network = chain(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 3), width=6)
    for layer in (network[0], network[2]):
        nn.utils.prune.random_unstructured(layer, "weight", 0.3)
        nn.utils.prune.random_unstructured(layer, "bias", 0.3)
    return network


class Standardised(nn.Conv2d):
    """Weight standardisation as in BiT (Kolesnikov et al. 2019)."""

    def forward(self, x):
        w = self.weight
        mean = w.mean(dim=(1, 2, 3), keepdim=True)
        w = (w - mean) / (w.std(dim=(1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, w, self.bias, self.stride, self.padding, self.dilation, self.groups)


class ScaledStandardised(nn.Conv2d):
    """As in NFNets (Brock et al. 2021), with a gain for each filter and no epsilon by itself."""

    def __init__(self, *args, **options) -> None:
        super().__init__(*args, **options)
        self.gain = nn.Parameter(torch.rand(self.out_channels, 1, 1, 1) + 0.5)

    def forward(self, x):
        mean, var = torch.var_mean(self.weight, dim=[1, 2, 3], keepdim=True)[::-1]
        fan_in = self.weight[0].numel()
        scale = torch.rsqrt(torch.clamp(var * fan_in, min=1e-4)) * self.gain
        w = self.weight * scale - mean * scale
        return F.conv2d(x, w, self.bias, self.stride, self.padding, self.dilation, self.groups)


class ByBatchNorm(nn.Conv2d):
    """Standardised by batch norm, with sizes that the layer keeps, as timm does."""

    def forward(self, x):
        w = F.batch_norm(
            self.weight.reshape(1, self.out_channels, -1), None, None, training=True, eps=1e-6
        ).reshape_as(self.weight)
        return F.conv2d(x, w, self.bias, self.stride, self.padding, self.dilation, self.groups)


@maker
def standardised():
    return chain(Standardised(3, 8, 3), Standardised(8, 6, 3, bias=False), width=6)


@maker
def standardised_and_scaled():
    return chain(
        ScaledStandardised(3, 8, 3),
        ScaledStandardised(8, 8, 3, groups=8),
        ScaledStandardised(8, 6, 1),
        width=6,
    )


@maker
def standardised_by_batch_norm():
    return chain(ByBatchNorm(3, 8, 3), ByBatchNorm(8, 6, 3), ByBatchNorm(6, 6, 3), width=6)


class LowRank(nn.Module):
    """A weight of low rank, and a filter of several kernels: stay, and are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3)
        self.left = nn.Parameter(torch.randn(6, 2) * 0.3)
        self.right = nn.Parameter(torch.randn(2, 8 * 9) * 0.3)
        self.tail = nn.Conv2d(6, 5, 1)
        self.head = nn.Linear(5, 4)

    def forward(self, x):
        x = self.stem(x).relu()
        x = F.conv2d(x, (self.left @ self.right).view(6, 8, 3, 3))
        return self.head(self.tail(x.relu()).mean((2, 3)))


MAKERS["low_rank"] = LowRank


@maker
def orthogonal():
    return chain(
        nn.Conv2d(3, 8, 3), parametrizations.orthogonal(nn.Conv2d(8, 6, 1)), nn.Conv2d(6, 5, 3),
        width=5,
    )  # fmt: skip


class FromTheImage(nn.Module):
    """A weight that depends on the image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.route = nn.Linear(4, 2)
        self.experts = nn.Parameter(torch.randn(2, 6, 4, 3, 3) * 0.3)
        self.tail = nn.Conv2d(6, 5, 1)
        self.head = nn.Linear(5, 4)

    def forward(self, x):
        x = self.stem(x).relu()
        share = self.route(x.mean((2, 3))).softmax(1)
        weight = (share.mean(0)[:, None, None, None, None] * self.experts).sum(0)
        return self.head(self.tail(F.conv2d(x, weight).relu()).mean((2, 3)))


MAKERS["from_the_image"] = FromTheImage


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    return shake(MAKERS[name]())


@pytest.mark.parametrize("name", MAKERS)
def test_laws(name: str) -> None:
    model = build(name)
    graph = trace(model, SHAPE)
    images = torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(1))
    assert graph.prunable_groups
    for seed in range(3):
        plan = random_plan(graph, seed)
        check_laws(model, graph, plan, images, functional=True)
        with torch.no_grad():
            assert mask(model, graph, plan)(images).isfinite().all()
    assert cost(graph).macs == count_macs_by_calls(model, images[:1])


FREE = {
    "weight_norm": [4, 3, 5],
    "weight_norm_over_other_dimensions": [8, 6, 7, 5],
    "weight_norm_by_a_hook": [8, 2, 2],
    "spectral_norm": [8, 6, 5],
    "spectral_norm_by_a_hook": [8, 6],
    "a_parametrisation_of_ones_own": [8, 6, 5],
    "unstructured_masks": [8, 6],
    "standardised": [8, 6],
    "standardised_and_scaled": [8, 6],
    "standardised_by_batch_norm": [8, 6, 6],
}


@pytest.mark.parametrize("name", FREE)
def test_what_is_computed_for_each_filter_can_be_pruned(name: str) -> None:
    graph = trace(build(name), SHAPE)
    assert [group.width for group in graph.prunable_groups] == FREE[name]
    assert [x.name for x in graph.layers if not x.prunable] == [graph.layers[-1].name]


@pytest.mark.parametrize(
    ("name", "layer", "reason"),
    [
        ("orthogonal", "2", "PruneViz cannot follow"),
        ("low_rank", "weight", "is computed by torch.Tensor.view, which PruneViz cannot follow"),
        ("from_the_image", "weight", "computed from the image"),
    ],
)
def test_what_stays_is_listed_with_its_macs_and_the_reason(
    name: str, layer: str, reason: str
) -> None:
    graph = trace(build(name), SHAPE)
    found = graph.layer(layer)
    assert found.macs > 0
    assert not found.prunable
    assert reason in (found.reason or "")


@pytest.mark.parametrize("name", ["weight_norm", "weight_norm_by_a_hook", "spectral_norm"])
def test_norms_of_weights_are_masked_exactly(name: str) -> None:
    """Zeros add nothing to a norm; a mean, as in standardisation, would count them."""
    assert trace(build(name), SHAPE).maskable
    assert not trace(build("standardised"), SHAPE).maskable


def test_a_network_that_has_just_learned_can_be_pruned() -> None:
    """A hook leaves its result, with its history, on the module; such tensors cannot be copied."""
    model = build("weight_norm_by_a_hook")
    graph = trace(model, SHAPE)
    model.train()(torch.randn(2, *SHAPE)).sum().backward()
    plan = Plan(graph).drop("0", [1, 2])
    images = torch.randn(2, *SHAPE)
    with torch.no_grad():
        got, want = prune(model, graph, plan).eval()(images), mask(model, graph, plan)(images)
    assert relative_error(got, want) < 1e-5


def test_criteria_look_at_the_weight_that_is_applied() -> None:
    model = build("weight_norm")
    with torch.no_grad():
        for layer in ("0", "2", "6"):
            model.get_submodule(layer).parametrizations.weight.original0.uniform_(0.5, 2)
    graph = trace(model, SHAPE)
    evidence = Evidence(graph, model)
    for layer in ("0", "2", "6"):
        applied = model.get_submodule(layer).weight.detach()
        rows = torch.from_numpy(evidence.filters(graph.layer(layer)))
        stored = model.get_submodule(layer).parametrizations.weight.original1.detach()
        assert torch.allclose(rows, applied.flatten(1))
        assert not torch.allclose(rows, stored.flatten(1))
