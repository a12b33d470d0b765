"""Weights put into a network, or refused with what does not fit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from pruneviz.catalog.checkpoints import State, dims
from pruneviz.errors import WeightsError


def load_into(model: nn.Module, state: State, *, network: str, where: str) -> None:
    """Put `state` into `model`; all floating-point values become float32.

    Raises `WeightsError` naming tensors that are missing, unexpected, of the wrong shape, not dense
    floating point or not finite, and variances below zero.
    """
    expected = model.state_dict()
    counters = {key for key in expected if key.endswith("num_batches_tracked")}
    missing = [key for key in expected if key not in state and key not in counters]
    unexpected = [
        key for key in state if key not in expected and not key.endswith("num_batches_tracked")
    ]
    if len(missing) == len(expected) - len(counters):
        raise WeightsError(
            f"'{where}' holds the weights of another architecture: none of its tensors "
            f"({_some(list(state))}) has a name that {network} uses ({_some(missing)}). Choose "
            "the architecture that they were trained with."
        )
    shapes = [
        f"{key} is {dims(expected[key])} in {network} and {dims(state[key])} in the file"
        for key in expected
        if key in state and expected[key].shape != state[key].shape
    ]
    problems = []
    if missing:
        problems.append(f"it lacks {_some(missing)}")
    if unexpected:
        problems.append(f"{network} has no {_some(unexpected)}")
    if shapes:
        problems.append(_some(shapes, "; "))
    if problems:
        remedy = "Choose the architecture that the weights were trained with."
        if len(problems) == len(shapes[:1]) and _is_smaller(state, expected):
            remedy = "They look pruned: prune the network by their plan first, then load them."
        raise WeightsError(f"'{where}' does not fit {network}: {'; '.join(problems)}. {remedy}")
    fitted: OrderedDict[str, torch.Tensor] = OrderedDict()
    for key, tensor in expected.items():
        value = state.get(key)
        fitted[key] = (
            torch.zeros(tensor.shape, dtype=tensor.dtype)
            if value is None
            else _dense(key, value, tensor.dtype, where)
        )
    _refuse_not_finite(fitted, where)
    _refuse_negative_variances(fitted, where)
    # torchvision's MNASNet and batch norm ask for the version that wrote a state dict, which no
    # plain dict of tensors carries; the shapes were compared, so it is the model's own.
    fitted._metadata = expected._metadata  # type: ignore[attr-defined]
    model.load_state_dict(fitted)


def _is_smaller(state: State, expected: State) -> bool:
    """Whether every tensor has the expected number of axes, none longer."""
    return all(
        state[key].ndim == tensor.ndim
        and all(a <= b for a, b in zip(state[key].shape, tensor.shape, strict=True))
        for key, tensor in expected.items()
        if key in state
    )


def _dense(key: str, value: torch.Tensor, dtype: torch.dtype, where: str) -> torch.Tensor:
    dense = value.layout == torch.strided and not value.is_quantized and not value.is_complex()
    if not dense or (dtype.is_floating_point and not value.is_floating_point()):
        raise WeightsError(
            f"'{where}' holds {key} as {value.dtype}, {value.layout}; PruneViz reads dense "
            "floating-point weights. Dequantise the network and save it again."
        )
    return value.to(dtype)


def _refuse_not_finite(state: State, where: str) -> None:
    bad = [
        key
        for key, value in state.items()
        if value.is_floating_point() and not bool(torch.isfinite(value).all())
    ]
    if bad:
        raise WeightsError(
            f"'{where}' holds values that are not finite (NaN or infinity) in {_some(bad)}; "
            "take a checkpoint from before the training diverged."
        )


def _refuse_negative_variances(state: State, where: str) -> None:
    bad = [key for key in state if key.endswith("running_var") and bool((state[key] < 0).any())]
    if bad:
        raise WeightsError(
            f"'{where}' holds variances below zero in {_some(bad)}, of which batch norm takes the "
            "root; the file is damaged, so save or copy it again."
        )


def _some(items: Sequence[str], separator: str = ", ", most: int = 3) -> str:
    more = len(items) - most
    return separator.join(items[:most]) + (f" and {more} more" if more > 0 else "")
