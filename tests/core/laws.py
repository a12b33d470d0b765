"""The five laws, as functions that any network can be put through."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pruneviz.channels import ChannelGraph
from pruneviz.cost import cost
from pruneviz.plan import Plan
from pruneviz.surgery import mask, prune


def shake(model: nn.Module, seed: int = 0) -> nn.Module:
    """Make statistics and affine values non-trivial: with fresh ones the laws test nothing."""
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._NormBase):
                if module.running_mean is not None:
                    module.running_mean.normal_(0, 0.1, generator=rng)
                    module.running_var.uniform_(0.5, 1.5, generator=rng)
            elif isinstance(module, (nn.modules.conv._ConvNd, nn.Linear)):
                bias = module.bias  # zeros let deep networks without normalisation fall silent
                if bias is not None and not bias.any():
                    bias.normal_(0, 0.1, generator=rng)
                continue
            elif not isinstance(module, (nn.GroupNorm, nn.LayerNorm, nn.PReLU)):
                continue
            if getattr(module, "weight", None) is not None:
                module.weight.uniform_(0.5, 1.5, generator=rng)
            if getattr(module, "bias", None) is not None:
                module.bias.normal_(0, 0.2, generator=rng)
    return model.eval()


def random_plan(graph: ChannelGraph, seed: int, most: float = 1.0) -> Plan:
    """Any number of any units of every group, but never all."""
    rng = np.random.default_rng(seed)
    units: list[int] = []
    for group in graph.prunable_groups:
        count = int(rng.integers(0, max(int((group.width - 1) * most), 0) + 1))
        units += (group.start + rng.permutation(group.width)[:count]).tolist()
    return Plan(graph, units)


Inputs = Tensor | tuple[object, ...] | dict[str, object]


def run(model: nn.Module, inputs: Inputs) -> Any:
    """Call a network with a batch of images, with several inputs, or with inputs by name."""
    if isinstance(inputs, Tensor):
        return model(inputs)
    return model(**inputs) if isinstance(inputs, dict) else model(*inputs)


def one(inputs: Inputs) -> Inputs:
    """The first image; several inputs are one example already."""
    return inputs[:1] if isinstance(inputs, Tensor) else inputs


def first(output: object) -> Tensor:
    """The tensor that a network's output is, or the first one in it."""
    if isinstance(output, Tensor):
        return output
    return first(next(iter(output.values() if isinstance(output, dict) else output)))


def count_macs(model: nn.Module, inputs: Inputs) -> int:
    """An independent counter: hooks on every convolution and linear layer."""
    total = 0

    def hook(module: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Linear):
            total += out.numel() * module.in_features
        elif isinstance(module, nn.modules.conv._ConvTransposeNd):
            per_position = module.weight[0].numel()  # out / groups * kernel, for one input channel
            total += inputs[0].numel() * per_position
        else:
            total += out.numel() * module.weight[0].numel()

    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    hooks = [m.register_forward_hook(hook) for m in model.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        run(model.eval(), one(inputs))
    for handle in hooks:
        handle.remove()
    return total


class _Calls(TorchFunctionMode):
    """Multiply-adds of every convolution and linear call, whoever makes it, by its definition."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        if name == "linear" or name.startswith("conv"):
            weight = args[1] if len(args) > 1 else kwargs["weight"]
            if "transpose" in name:  # each input value meets the kernels of its row
                self.total += args[0].numel() * weight[0].numel()
            else:  # each output value is a sum over one row
                self.total += out.numel() * weight[0].numel()
        return out


def count_macs_by_calls(model: nn.Module, inputs: Inputs) -> int:
    """An independent counter for layers that hooks cannot see, such as functional ones."""
    with torch.no_grad(), _Calls() as calls:
        run(model.eval(), one(inputs))
    return calls.total


def relative_error(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max().clamp_min(1e-12))


def check_laws(
    model: nn.Module, graph: ChannelGraph, plan: Plan, images: Inputs, *, functional: bool = False
) -> None:
    """All laws for one plan. `functional`: layers that hooks do not see."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pruned, masked = prune(model, graph, plan), mask(model, graph, plan)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before), "the model was touched"

    with torch.no_grad():
        got, want = first(run(pruned.eval(), images)), first(run(masked.eval(), images))
    assert got.shape == want.shape
    if graph.maskable:
        assert relative_error(got, want) < 1e-4

    expected = cost(graph, plan)
    assert expected.params == sum(p.numel() for p in pruned.parameters())
    if functional:
        assert expected.macs == count_macs_by_calls(pruned, images)
        assert expected.baseline_macs == count_macs_by_calls(model, images)
    else:
        assert expected.macs == count_macs(pruned, images)
        assert expected.baseline_macs == count_macs(model, images)
    assert sum(expected.layer_macs) == expected.macs

    again = Plan.from_json(graph, plan.to_json())
    assert again == plan
    assert again.digest == plan.digest
    for name, value in prune(model, graph, again).state_dict().items():
        assert torch.equal(value, pruned.state_dict()[name])

    stored = io.BytesIO()
    torch.save(pruned.state_dict(), stored)
    stored.seek(0)
    fresh = prune(model, graph, plan)
    fresh.load_state_dict(torch.load(stored, weights_only=True))

    pruned.train()
    out = run(pruned, images)
    outputs = list(out.values()) if isinstance(out, dict) else out
    outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
    sum(o.float().pow(2).mean() for o in outputs if o is not None).backward()
    assert any(p.grad is not None and bool((p.grad != 0).any()) for p in pruned.parameters())
