"""A replay gives what the changed network gives, to the bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from pruneviz.replay import Tape
from tests.replay.helpers import FAMILIES, build, other, rerun


@pytest.mark.slow
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
    for seed in range(data.draw(st.integers(1, 3))):
        names = data.draw(st.sets(st.sampled_from(sorted(changing))))
        changed = {n: other(parameters[n], seed) for n in names}
        assert torch.equal(tape.run(changed), rerun(model, changed, images))
    assert torch.equal(tape.output, rerun(model, {}, images))


def test_only_what_depends_on_the_change_is_computed() -> None:
    model = build("resnet18")
    tape = Tape.record(model, torch.randn(2, 3, 64, 64))
    recipe = tape.recipe
    everything = len(recipe.program.ops)
    first = len(recipe.steps(frozenset({"conv1.weight"})))
    last = len(recipe.steps(frozenset({"layer4.1.conv2.weight"})))
    assert first == everything
    assert last == 7  # conv, norm, add, relu, pool, flatten, linear
    assert len(recipe.steps(frozenset({"fc.bias"}))) == 1


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
