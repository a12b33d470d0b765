"""A tape gives what the model gives, to the bit, however the model is written."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

import pruneviz as pv
from pruneviz.errors import PlanError
from pruneviz.replay import NotReplayableError, Replay, Score, Tape, pack, score
from pruneviz.replay.columns import prepared, silenced
from pruneviz.replay.fast import Kept
from pruneviz.replay.record import record
from pruneviz.replay.scan import bounds

FAMILIES = [
    "alexnet",
    "vgg11_bn",
    "resnet18",
    "resnext50_32x4d",
    "densenet121",
    "googlenet",
    "inception_v3",
    "squeezenet1_0",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "shufflenet_v2_x0_5",
    "efficientnet_b0",
    "regnet_y_400mf",
    "regnet_x_400mf",
    "convnext_tiny",
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def build(name: str) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model: nn.Module = getattr(torchvision.models, name)(weights=None, num_classes=10)
    return liven(model)


def liven(model: nn.Module) -> nn.Module:
    """Give norms statistics that matter."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.2)
            nn.init.normal_(module.running_mean, 0, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


def rerun(model: nn.Module, changed: dict[str, Tensor], images: Tensor) -> Tensor:
    with torch.no_grad():
        result: Tensor = functional_call(model, changed, (images.clone(),))
    return result


def other(tensor: Tensor, seed: int) -> Tensor:
    noise = torch.randn(tensor.shape, generator=torch.Generator().manual_seed(seed))
    return tensor.detach() * (1 + 0.5 * noise) + 0.01


@pytest.mark.parametrize("name", FAMILIES)
def test_families_replay_to_the_bit(name: str) -> None:
    model = build(name)
    images = torch.randn(2, 3, 80 if name == "inception_v3" else 64, 80)
    tape = Tape.record(model, images)
    assert torch.equal(tape.output, rerun(model, {}, images))
    parameters = dict(model.named_parameters())
    names = [n for n in parameters if "aux" not in n.lower()]
    for i in range(0, len(names), max(1, len(names) // 4)):
        changed = {names[i]: other(parameters[names[i]], i)}
        assert torch.equal(tape.run(changed), rerun(model, changed, images)), names[i]
    assert torch.equal(tape.output, rerun(model, {}, images)), "replays left the tape as it was"


class Inplace(nn.Module):
    """Everything that changes a tensor which something else reads."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.b = nn.Conv2d(8, 8, 3, padding=1)
        self.c = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8, 5)
        self.scale = torch.full((1, 8, 1, 1), 0.7)

    def forward(self, x: Tensor) -> Tensor:
        x -= 0.1
        x = self.a(x)
        y = F.relu(x, inplace=True)
        z = self.b(y)
        z += x
        z.relu_()
        left, right = z.chunk(2, dim=1)
        left.mul_(2.0)  # a view: z changes with it
        w = self.c(z)
        w[:, 3] = right[:, 0]  # z is read through a view made before the change
        w.add_(z, alpha=0.5)
        F.hardswish(w, inplace=True)
        w.transpose(1, 2).sub_(0.05)
        w = w * self.scale
        w.clamp_(max=3.0)
        mask = torch.ones(8)
        mask[2] = 0
        w = w * mask.view(1, -1, 1, 1)
        out = torch.empty_like(w)
        torch.add(w, 1.0, out=out)
        return self.head(out.mean((2, 3)))


class Shared(nn.Module):
    """One convolution used twice, tied weights, and operators from both sides."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.conv = nn.Conv2d(6, 6, 3, padding=1)
        self.again = nn.Conv2d(6, 6, 3, padding=1)
        self.again.weight = self.conv.weight
        self.slope = nn.PReLU(6)
        self.norm = nn.GroupNorm(2, 6)
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.slope(self.stem(x))
        y = 1 - self.conv(x) / 2
        y = self.norm(self.conv(y)) + self.again(x)
        y = torch.cat([y[:, ::2], y[:, 1::2]], 1)
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        y = self.up(y).flatten(2).amax(-1)
        return self.head(y).log_softmax(-1)


HANDWRITTEN: list[Callable[[], nn.Module]] = [Inplace, Shared]


@pytest.mark.parametrize("make", HANDWRITTEN)
def test_handwritten_networks_replay_to_the_bit(make: Callable[[], nn.Module]) -> None:
    model = make().eval()
    images = torch.randn(4, 3, 8, 8)
    before = images.clone()
    tape = Tape.record(model, images)
    assert torch.equal(images, before), "recording does not touch the images"
    assert torch.equal(tape.output, rerun(model, {}, images))
    for i, (name, parameter) in enumerate(model.named_parameters()):
        changed = {name: other(parameter, i)}
        expected = rerun(model, changed, images)
        assert not torch.equal(expected, tape.output), f"{name} matters"
        assert torch.equal(tape.run(changed), expected), name
        assert torch.equal(tape.run(changed), expected), f"{name}, once more"
    assert torch.equal(tape.output, rerun(model, {}, images))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), which=st.sampled_from(HANDWRITTEN))
def test_any_parameters_change_together_and_one_after_another(
    data: st.DataObject, which: Callable[[], nn.Module]
) -> None:
    torch.manual_seed(1)
    model = which().eval()
    parameters = dict(model.named_parameters())
    images = torch.randn(2, 3, 8, 8)
    changing = data.draw(st.sets(st.sampled_from(sorted(parameters)), min_size=1))
    tape = Tape.record(model, images, changing=changing)
    state: dict[str, Tensor] = {}
    for seed in range(data.draw(st.integers(1, 3))):
        names = data.draw(st.sets(st.sampled_from(sorted(changing))))
        changed = {n: other(parameters[n], seed) for n in names}
        keep = data.draw(st.booleans())
        output = tape.run(changed, keep=keep)
        assert torch.equal(output, rerun(model, {**state, **changed}, images))
        if keep:
            state |= changed
    assert torch.equal(tape.output, rerun(model, state, images))


def test_only_what_depends_on_the_change_is_computed() -> None:
    model = build("resnet18")
    tape = Tape.record(model, torch.randn(2, 3, 64, 64))
    recipe = tape.recipe
    everything = len(recipe.program.ops)
    first = len(recipe.steps(frozenset({"conv1.weight"}), False))
    last = len(recipe.steps(frozenset({"layer4.1.conv2.weight"}), False))
    assert first == everything
    assert last == 7  # conv, norm, add, relu, pool, flatten, linear
    assert len(recipe.steps(frozenset({"fc.bias"}), False)) == 1


def test_memory_holds_only_what_a_replay_can_read() -> None:
    model = build("resnet18")
    images = torch.randn(4, 3, 64, 64)
    everything = Tape.record(model, images)
    late = Tape.record(model, images, changing=["layer4.1.conv2.weight"])
    # The input of that convolution and of the addition after it (512 channels, 2x2), and logits.
    assert late.nbytes == 4 * 4 * (2 * 512 * 2 * 2 + 10)
    assert late.nbytes < everything.nbytes / 20
    changed = {"layer4.1.conv2.weight": torch.zeros(512, 512, 3, 3)}
    assert torch.equal(late.run(changed), rerun(model, changed, images))
    with pytest.raises(KeyError, match="not among the parameters"):
        late.run({"conv1.weight": model.conv1.weight})
    with pytest.raises(KeyError, match="no parameter or buffer 'nothing'"):
        late.run({"nothing": images})


class OnData(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)


class Branch(OnData):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


class Number(OnData):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return (x * float(x.max())).mean((2, 3))


class Masked(OnData):
    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).mean((2, 3))
        return x[x > 0][:4]


class Random(OnData):
    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(self.conv(x), 0.5, training=True).mean((2, 3))


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x * 2


class Hidden(OnData):
    def forward(self, x: Tensor) -> Tensor:
        return Twice.apply(self.conv(x)).mean((2, 3))


class Scripted(OnData):
    def forward(self, x: Tensor) -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pool = torch.jit.trace(nn.AvgPool2d(2), x)
        return pool(self.conv(x)).mean((2, 3))


class Cast(OnData):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.conv(x).mean((2, 3)).float()


class Statistics(OnData):
    def forward(self, x: Tensor) -> Tensor:
        self.conv.bias.data.add_(0.01)
        return self.conv(x).mean((2, 3))


class Numpy(OnData):
    def forward(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self.conv(x).numpy() * 2).mean((2, 3))


def test_a_custom_autograd_function_is_seen_through() -> None:
    model, images = Hidden().eval(), torch.randn(2, 3, 8, 8)
    changed = {"conv.weight": torch.randn(4, 3, 3, 3)}
    assert torch.equal(Tape.record(model, images).run(changed), rerun(model, changed, images))


@pytest.mark.parametrize(
    "kind", [Branch, Number, Masked, Random, Scripted, Cast, Statistics, Numpy]
)
def test_what_cannot_be_repeated_is_refused(kind: type[OnData]) -> None:
    with pytest.raises(NotReplayableError, match=r"."):
        record(kind().eval(), torch.randn(2, 3, 8, 8))


def test_a_model_in_training_mode_is_refused() -> None:
    with pytest.raises(NotReplayableError, match="training mode"):
        record(Shared(), torch.randn(2, 3, 8, 8))


# -- plans ---------------------------------------------------------------------------------------


def random_plan(graph: pv.ChannelGraph, rng: np.random.Generator, groups: int) -> pv.Plan:
    chosen = rng.choice(len(graph.prunable_groups), min(groups, len(graph.prunable_groups)), False)
    units: list[int] = []
    for group in (graph.prunable_groups[i] for i in chosen):
        units += rng.choice(group.units, int(rng.integers(0, group.width)), False).tolist()
    return pv.Plan(graph, units)


def slow(model: nn.Module, graph: pv.ChannelGraph, plan: pv.Plan, x: Tensor, y: Tensor) -> Score:
    with torch.no_grad():
        return score(pv.prune(model, graph, plan)(x), y)


def agree(found: Score, expected: Score) -> None:
    assert (found.correct, found.count) == (expected.correct, expected.count)
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)


# The others are covered above, and their layers by these.
LARGE = ("alexnet", "vgg11_bn", "inception_v3", "resnext50_32x4d", "googlenet", "regnet_x_400mf")
PLANNED = [name for name in FAMILIES if name not in LARGE]


@pytest.mark.parametrize("name", PLANNED)
def test_scores_of_plans_are_those_of_pruned_networks(name: str) -> None:
    model = build(name)
    graph = pv.trace(model, (3, 64, 64))
    x, y = torch.randn(3, 3, 64, 64), torch.tensor([1, 2, 3])
    replay = Replay(model, graph)
    rng = np.random.default_rng(1)
    plans = [pv.Plan(graph), *(random_plan(graph, rng, n) for n in (1, 1, 4))]
    for plan, found in zip(plans, replay.scores(x, y, plans), strict=True):
        agree(found, slow(model, graph, plan, x, y))
    assert replay.reason is None, "no falling back to the whole network"


class Mixed(nn.Module):
    """Residual, concatenation, shuffle, depthwise and grouped convolution, in place throughout."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(8)
        self.deep = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.deep_norm = nn.BatchNorm2d(8, affine=False)
        self.point = nn.Conv2d(8, 8, 1)
        self.side = nn.Conv2d(8, 6, 3, padding=1)
        self.join = nn.Conv2d(14, 12, 3, padding=1)
        self.grouped = nn.Conv2d(12, 12, 3, padding=1, groups=3)
        self.last = nn.Conv2d(12, 16, 3, stride=2)
        self.last_norm = nn.BatchNorm2d(16)
        self.head = nn.Linear(16 * 3 * 3, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem_norm(self.stem(x)), inplace=True)
        x += self.point(F.hardswish(self.deep_norm(self.deep(x)), inplace=True))
        x = torch.cat([x, self.side(x).sigmoid_()], 1)
        x = F.silu(self.grouped(F.relu6(self.join(x))))
        n, c, h, w = x.shape
        x = x.view(n, 3, c // 3, h, w).transpose(1, 2).reshape(n, c, h, w)
        x = F.leaky_relu(self.last_norm(self.last(x)), 0.2, inplace=True)
        return self.head(x.flatten(1))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    folded=st.booleans(),
    channels_last=st.booleans(),
    skip=st.booleans(),
    packed=st.booleans(),
)
def test_any_plans_in_any_mode(
    seed: int, folded: bool, channels_last: bool, skip: bool, packed: bool
) -> None:
    torch.manual_seed(seed % 7)
    model = liven(Mixed())
    graph = pv.trace(model, (3, 8, 8))
    rng = np.random.default_rng(seed)
    plans = [random_plan(graph, rng, n) for n in (1, 2, 3, 8)]
    x, y = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    replay = Replay(
        model, graph, folded=folded, channels_last=channels_last, skip=skip, packed=packed
    )
    before = [s.loss for s in replay.scores(x, y, plans)]
    for plan, found in zip(plans, replay.scores(x, y, plans), strict=True):
        agree(found, slow(model, graph, plan, x, y))
    assert before == [s.loss for s in replay.scores(x, y, plans)]
    assert replay.reason is None


def test_norms_are_folded_away_and_zero_columns_left_out() -> None:
    model = liven(Mixed())
    graph = pv.trace(model, (3, 8, 8))
    x = torch.randn(2, 3, 8, 8)
    ops = [
        sum(op.label == "batch_norm" for op in recipe.program.ops)
        for recipe in (Replay(model, graph, folded=f).recipe(x) for f in (False, True))
        if recipe is not None
    ]
    assert ops == [3, 0]
    recipe = Replay(model, graph).recipe(x)
    assert recipe is not None
    if pack.available():
        assert {op.label for op in recipe.program.ops} & {"relu", "relu6", "hardswish"} == set()
    recipe = Replay(model, graph, packed=False).recipe(x)
    assert recipe is not None
    columns = silenced(graph, pv.Plan(graph).drop("stem", range(7)).kept)
    shapes = {
        name: tuple(t.weight.shape) if isinstance(t, Kept) else tuple(t.shape)
        for name, t in prepared(recipe, columns, skip=True).items()
    }
    assert shapes["side.weight"] == (6, 1, 3, 3)
    assert prepared(recipe, columns)["side.weight"][:, :7].count_nonzero() == 0


class Sometimes(Mixed):
    """Its path depends on the data, so nothing can be replayed."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.mean() < 100 else -x)


def test_a_network_that_cannot_be_replayed_is_run_whole() -> None:
    model = liven(Sometimes())
    graph = pv.trace(model, (3, 8, 8))
    replay = Replay(model, graph)
    plans = [random_plan(graph, np.random.default_rng(0), 3) for _ in range(3)]
    x, y = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    for plan, found in zip(plans, replay.scores(x, y, plans), strict=True):
        agree(found, slow(model, graph, plan, x, y))
    assert replay.reason is not None
    assert "values into Python" in replay.reason


def test_a_plan_for_another_network_is_refused() -> None:
    model, other_graph = liven(Mixed()), pv.trace(build("squeezenet1_0"), (3, 64, 64))
    replay = Replay(model, pv.trace(model, (3, 8, 8)))
    with pytest.raises(PlanError, match="another network"):
        replay.scores(torch.randn(2, 3, 8, 8), torch.tensor([0, 1]), [pv.Plan(other_graph)])


def test_weights_changed_later_do_not_matter() -> None:
    model = liven(Mixed())
    graph = pv.trace(model, (3, 8, 8))
    replay = Replay(model, graph)
    x, y = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    before = replay.scores(x, y, [pv.Plan(graph)])
    nn.init.zeros_(model.head.weight)
    assert replay.scores(x, y, [pv.Plan(graph)]) == before


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 2000), st.integers(1, 64), st.integers(1, 8))
def test_mini_batches_cover_all_images_and_start_small(count: int, size: int, workers: int) -> None:
    cuts = bounds(count, size, workers)
    assert [a for a, _ in cuts] == [0, *(b for _, b in cuts[:-1])]
    assert cuts[-1][1] == count
    assert max(b - a for a, b in cuts) <= size
    if count >= 16 * workers:
        assert sum(b - a for a, b in cuts[:workers]) <= count / 10
