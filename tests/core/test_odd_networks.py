"""One odd operation a network: it is followed, or its channels stay and say why."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from pruneviz.trace import trace
from tests.core.laws import check_laws, random_plan, shake

SHAPE = (3, 8, 8)
UNCOUNTED = {"matmulparam", "einsum", "lstm", "embed"}  # multiply outside of layers


def head(c):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 4))


NETWORKS: dict[str, nn.Module] = {}


class Written(nn.Module):
    def __init__(s, fwd, **mods):
        super().__init__()
        for k, v in mods.items():
            if isinstance(v, nn.Parameter):
                s.register_parameter(k, v)
            elif isinstance(v, nn.Module):
                setattr(s, k, v)
            else:
                s.register_buffer(k, v)
        s._f = fwd

    def forward(s, x):
        return s._f(s, x)


def conv(i, o, k=3, **options):
    return nn.Conv2d(i, o, k, padding=k // 2, **options)


NETWORKS["crelu"] = Written(
    lambda s, x: s.h(F.relu(s.b(torch.cat([s.a(x), -s.a(x)], 1).relu()))),
    a=conv(3, 6),
    b=conv(12, 5),
    h=head(5),
)
NETWORKS["maxout"] = Written(
    lambda s, x: s.h(s.b(s.a(x).view(x.size(0), 4, 2, x.size(2), x.size(3)).max(2)[0])),
    a=conv(3, 8),
    b=conv(4, 5),
    h=head(5),
)


def mo2(s, x):
    y = s.a(x)
    n, ch, h, w = y.shape
    return s.h(s.b(y.view(n, ch // 2, 2, h, w).max(2)[0]))


NETWORKS["maxout_flex"] = Written(mo2, a=conv(3, 8), b=conv(4, 5), h=head(5))
NETWORKS["custombn"] = Written(
    lambda s, x: s.h(
        F.relu(
            (s.a(x) - s.mu[None, :, None, None]) * s.g.view(1, -1, 1, 1) + s.be.reshape(1, -1, 1, 1)
        )
    ),
    a=conv(3, 6),
    mu=torch.randn(6),
    g=nn.Parameter(torch.rand(6) + 0.5),
    be=nn.Parameter(torch.randn(6)),
    h=head(6),
)
NETWORKS["matmulparam"] = Written(
    lambda s, x: F.adaptive_avg_pool2d(F.relu(s.b(s.a(x))), 1).flatten(1) @ s.w,
    a=conv(3, 6),
    b=conv(6, 6),
    w=nn.Parameter(torch.randn(6, 4)),
)
NETWORKS["einsum"] = Written(
    lambda s, x: torch.einsum("nchw,cd->nd", F.relu(s.b(s.a(x))), s.w),
    a=conv(3, 6),
    b=conv(6, 6),
    w=nn.Parameter(torch.randn(6, 4)),
)
NETWORKS["lstm"] = Written(
    lambda s, x: s.l(s.r(F.relu(s.b(s.a(x))).flatten(2).permute(0, 2, 1))[0][:, -1]),
    a=conv(3, 6),
    b=conv(6, 6),
    r=nn.LSTM(6, 5, batch_first=True),
    l=nn.Linear(5, 4),
)
NETWORKS["unfold"] = Written(
    lambda s, x: s.l(F.unfold(s.a(x), 2, stride=2).mean(-1)), a=conv(3, 6), l=nn.Linear(24, 4)
)
NETWORKS["roll"] = Written(
    lambda s, x: s.h(s.b(torch.roll(s.a(x), 1, dims=1))), a=conv(3, 6), b=conv(6, 6), h=head(6)
)
NETWORKS["rollspatial"] = Written(
    lambda s, x: s.h(s.b(torch.roll(s.a(x), (1, 2), dims=(2, 3)))),
    a=conv(3, 6),
    b=conv(6, 6),
    h=head(6),
)
NETWORKS["flip"] = Written(
    lambda s, x: s.h(s.b(s.a(x).flip(1))), a=conv(3, 6), b=conv(6, 6), h=head(6)
)
NETWORKS["flipadd"] = Written(
    lambda s, x: (lambda y: s.h(s.b(y + y.flip(1))))(s.a(x)), a=conv(3, 6), b=conv(6, 6), h=head(6)
)
NETWORKS["circular"] = Written(
    lambda s, x: s.h(s.b(s.a(x))),
    a=conv(3, 6, padding_mode="circular"),
    b=conv(6, 6, padding_mode="reflect"),
    h=head(6),
)
NETWORKS["unflatten"] = Written(
    lambda s, x: s.h(s.b(s.u(s.l(s.a(x).mean((2, 3)))))),
    a=conv(3, 6),
    l=nn.Linear(6, 32),
    u=nn.Unflatten(1, (8, 2, 2)),
    b=conv(8, 5),
    h=head(5),
)
NETWORKS["interleave"] = Written(
    lambda s, x: s.h(s.b(s.a(x).repeat_interleave(2, dim=1))),
    a=conv(3, 6),
    b=conv(12, 5),
    h=head(5),
)
NETWORKS["repeat"] = Written(
    lambda s, x: s.h(s.b(s.a(x).repeat(1, 2, 1, 1))), a=conv(3, 6), b=conv(12, 5), h=head(5)
)
NETWORKS["topk"] = Written(
    lambda s, x: s.l(s.a(x).flatten(2).topk(3, dim=2)[0].mean(2)), a=conv(3, 6), l=nn.Linear(6, 4)
)
NETWORKS["topkflat"] = Written(
    lambda s, x: s.l(s.a(x).flatten(1).topk(5, dim=1)[0]), a=conv(3, 6), l=nn.Linear(5, 4)
)
NETWORKS["dropidx"] = Written(
    lambda s, x: s.h(s.b(s.a(x)[:, torch.tensor([5, 4, 3, 2, 1, 0])])),
    a=conv(3, 6),
    b=conv(6, 6),
    h=head(6),
)
NETWORKS["list"] = Written(
    lambda s, x: s.h(s.b(s.a(x)[:, [0, 2, 4]])), a=conv(3, 6), b=conv(3, 6), h=head(6)
)
NETWORKS["perchannel"] = Written(
    lambda s, x: (
        lambda y: s.h(s.b(torch.cat([y[:, i : i + 1] * (i + 1) for i in range(y.shape[1])], 1)))
    )(s.a(x)),
    a=conv(3, 6),
    b=conv(6, 6),
    h=head(6),
)
NETWORKS["depthmul"] = Written(
    lambda s, x: s.h(F.relu(s.d(s.a(x)))), a=conv(3, 6), d=conv(6, 12, groups=6), h=head(12)
)
NETWORKS["inputgroup"] = Written(
    lambda s, x: s.h(F.relu(s.b(s.a(x)))), a=conv(3, 6, groups=3), b=conv(6, 5), h=head(5)
)
NETWORKS["inputskip"] = Written(
    lambda s, x: s.h(F.relu(s.b(torch.cat([x, s.a(x)], 1)))), a=conv(3, 6), b=conv(9, 5), h=head(5)
)
NETWORKS["inputadd"] = Written(
    lambda s, x: s.h(F.relu(s.b(x + s.a(x)))), a=conv(3, 3), b=conv(3, 5), h=head(5)
)
NETWORKS["gnorm1"] = Written(
    lambda s, x: s.h(F.relu(s.n(s.a(x)))), a=conv(3, 6), n=nn.GroupNorm(1, 6), h=head(6)
)
NETWORKS["lnCHW"] = Written(
    lambda s, x: s.h(F.relu(s.n(s.a(x)))), a=conv(3, 6), n=nn.LayerNorm([6, 8, 8]), h=head(6)
)
NETWORKS["lrn"] = Written(
    lambda s, x: s.h(s.b(F.relu(s.n(s.a(x))))),
    a=conv(3, 6),
    n=nn.LocalResponseNorm(3),
    b=conv(6, 6),
    h=head(6),
)
NETWORKS["posemb"] = Written(
    lambda s, x: s.h(F.relu(s.a(x) + s.p)),
    a=conv(3, 6),
    p=nn.Parameter(torch.randn(1, 6, 8, 8)),
    h=head(6),
)
NETWORKS["l2norm"] = Written(
    lambda s, x: s.l(F.normalize(s.a(x).mean((2, 3)), dim=1)), a=conv(3, 6), l=nn.Linear(6, 4)
)
NETWORKS["prod"] = Written(
    lambda s, x: s.l((s.a(x).mean((2, 3)) ** 2).sum(1, keepdim=True)),
    a=conv(3, 6),
    l=nn.Linear(1, 4),
)
NETWORKS["conv1d"] = Written(
    lambda s, x: s.l(F.relu(s.b(s.a(x).flatten(2))).mean(2)),
    a=conv(3, 6),
    b=nn.Conv1d(6, 5, 3),
    l=nn.Linear(5, 4),
)
NETWORKS["deconv"] = Written(
    lambda s, x: s.h(s.d(F.relu(s.a(x)))),
    a=conv(3, 6),
    d=nn.ConvTranspose2d(6, 8, 2, stride=2, groups=2),
    h=head(8),
)
NETWORKS["prelu1"] = Written(lambda s, x: s.h(s.p(s.a(x))), a=conv(3, 6), p=nn.PReLU(), h=head(6))
NETWORKS["dict"] = Written(
    lambda s, x: {"out": s.h(s.a(x)), "feat": s.b(x)}["out"], a=conv(3, 6), b=conv(3, 6), h=head(6)
)
NETWORKS["where"] = Written(
    lambda s, x: (lambda y: s.h(torch.where(y > 0, y, s.b(x))))(s.a(x)),
    a=conv(3, 6),
    b=conv(3, 6),
    h=head(6),
)
NETWORKS["lerp"] = Written(
    lambda s, x: s.h(torch.lerp(s.a(x), s.b(x), 0.3)), a=conv(3, 6), b=conv(3, 6), h=head(6)
)
NETWORKS["addcmul"] = Written(
    lambda s, x: s.h(torch.addcmul(s.a(x), s.b(x), s.b(x))), a=conv(3, 6), b=conv(3, 6), h=head(6)
)
NETWORKS["embed"] = Written(
    lambda s, x: s.l(F.bilinear(s.a(x).mean((2, 3)), s.b(x).mean((2, 3)), s.w)),
    a=conv(3, 6),
    b=conv(3, 6),
    w=nn.Parameter(torch.randn(5, 6, 6)),
    l=nn.Linear(5, 4),
)
NETWORKS["expandbias"] = Written(
    lambda s, x: s.h(s.a(x) + s.q.expand(x.size(0), 6, 8, 8)),
    a=conv(3, 6),
    q=nn.Parameter(torch.randn(1, 6, 1, 1)),
    h=head(6),
)
NETWORKS["multilabelcat"] = Written(
    lambda s, x: torch.cat([s.l(s.a(x).mean((2, 3))), s.m(s.b(x).amax((2, 3)))], 1),
    a=conv(3, 6),
    b=conv(3, 7),
    l=nn.Linear(6, 4),
    m=nn.Linear(7, 2),
)
NETWORKS["cumsum"] = Written(lambda s, x: s.h(s.a(x).cumsum(1)), a=conv(3, 6), h=head(6))
NETWORKS["bn3"] = Written(
    lambda s, x: s.h(s.n(s.a(x))), a=conv(3, 6), n=nn.BatchNorm2d(6, affine=False), h=head(6)
)
NETWORKS["instnoaff"] = Written(
    lambda s, x: s.h(s.n(s.a(x))), a=conv(3, 6), n=nn.InstanceNorm2d(6), h=head(6)
)
NETWORKS["chunk3"] = Written(
    lambda s, x: (lambda t: s.h(t[0] * t[1] + t[2]))(s.a(x).chunk(3, 1)), a=conv(3, 9), h=head(3)
)
NETWORKS["splitself"] = Written(
    lambda s, x: (lambda y: (lambda t: s.h(t[0] * t[1]))(y.split(y.size(1) // 2, 1)))(s.a(x)),
    a=conv(3, 8),
    h=head(4),
)
NETWORKS["stochastic"] = Written(
    lambda s, x: s.h(torchvision.ops.stochastic_depth(s.a(x), 0.5, "row", s.training)),
    a=conv(3, 6),
    h=head(6),
)
NETWORKS["swap"] = Written(
    lambda s, x: s.h(s.b(s.a(x).transpose(2, 3).contiguous())),
    a=conv(3, 6),
    b=conv(6, 6),
    h=head(6),
)
NETWORKS["mean_all"] = Written(
    lambda s, x: (lambda y: s.h(s.b(y - y.mean())))(s.a(x)), a=conv(3, 6), b=conv(6, 6), h=head(6)
)
NETWORKS["std_spatial"] = Written(
    lambda s, x: s.l(s.a(x).std((2, 3))), a=conv(3, 6), l=nn.Linear(6, 4)
)
NETWORKS["cdist"] = Written(
    lambda s, x: s.l(torch.cdist(s.a(x).flatten(2), s.a(x).flatten(2)).flatten(1)),
    a=conv(3, 4),
    l=nn.Linear(16, 4),
)
NETWORKS["gather"] = Written(
    lambda s, x: (lambda y: s.h(s.b(y.gather(1, torch.arange(6).view(1, 6, 1, 1).expand_as(y)))))(
        s.a(x)
    ),
    a=conv(3, 6),
    b=conv(6, 6),
    h=head(6),
)
NETWORKS["index_select"] = Written(
    lambda s, x: s.h(s.b(torch.index_select(s.a(x), 1, torch.tensor([1, 2])))),
    a=conv(3, 6),
    b=conv(2, 6),
    h=head(6),
)


def sized_by_another(s, x):
    """Windows of attention come back to the size that was read off before it."""
    y = s.a(x)
    b, c, h, w = y.shape
    flat = y.flatten(2).transpose(1, 2)
    z = (s.v(flat).reshape(b, h * w, 2, 3) * 1.0).transpose(1, 2)
    return s.h(s.b(z.transpose(1, 2).reshape(b, h * w, c).transpose(1, 2).reshape(b, c, h, w)))


NETWORKS["sized_by_another"] = Written(
    sized_by_another, a=conv(3, 6), v=nn.Linear(6, 6), b=conv(6, 5), h=head(5)
)

FREE = {
    "sized_by_another": {"b": 5},
    "crelu": {"a": 6, "b": 5},
    "custombn": {"a": 6},
    "rollspatial": {"a": 6, "b": 6},
    "flip": {"a": 6, "b": 6},
    "flipadd": {"a": 3, "b": 6},
    "interleave": {"a": 6, "b": 5},
    "repeat": {"a": 6, "b": 5},
    "depthmul": {"a": 6},
    "inputskip": {"a": 6, "b": 5},
    "gnorm1": {"a": 6},
    "lnCHW": {"a": 6},
    "posemb": {"a": 6},
    "conv1d": {"a": 6, "b": 5},
    "deconv": {"a": 3, "d": 4},
    "where": {"a": 6},
    "chunk3": {"a": 3},
    "splitself": {"a": 4},
    "swap": {"a": 6, "b": 6},
    "stochastic": {"a": 6},
    "std_spatial": {"a": 6},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_laws(name: str) -> None:
    torch.manual_seed(0)
    model = shake(NETWORKS[name])
    graph = trace(model, SHAPE)
    images = torch.randn(3, *SHAPE)
    for seed in range(3):
        check_laws(model, graph, random_plan(graph, seed), images, functional=name in UNCOUNTED)
    if name in FREE:
        assert {g.name: g.width for g in graph.prunable_groups} == FREE[name]
    stuck = [x.reason for x in graph.layers if not x.prunable]
    assert stuck
    assert all(stuck)
