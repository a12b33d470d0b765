"""The classifier of a network: its layers, its number of classes, and replacing it."""

from __future__ import annotations

from torch import nn

from pruneviz.catalog.checkpoints import State

AUXILIARY = ("aux1", "aux2", "AuxLogits")
"""GoogLeNet's and Inception's auxiliary classifiers, which are only used in training."""


def classifier_names(model: nn.Module) -> tuple[str, ...]:
    """Names of the layers that output classes: the last one, and those of auxiliary heads.

    The last linear layer, or, in a network without one (SqueezeNet), the last convolution.
    """
    parts: list[nn.Module] = [model]
    prefixes = [""]
    for name in AUXILIARY:
        part = getattr(model, name, None)
        if isinstance(part, nn.Module):
            parts.append(part)
            prefixes.append(f"{name}.")
    return tuple(prefix + _last(part) for part, prefix in zip(parts, prefixes, strict=True))


def _last(model: nn.Module) -> str:
    for kind in (nn.Linear, nn.Conv2d):
        names = [name for name, module in model.named_modules() if isinstance(module, kind)]
        if names:
            return str(names[-1])
    raise ValueError("The network has neither a linear layer nor a convolution.")


def count_classes(model: nn.Module, state: State | None = None) -> int:
    """Number of classes of `model`, or of the weights `state` for it; 0 if these have none."""
    name = classifier_names(model)[0]
    weight = model.get_parameter(f"{name}.weight") if state is None else state.get(f"{name}.weight")
    return 0 if weight is None or weight.ndim == 0 else int(weight.shape[0])


def replace_classifier(model: nn.Module, num_classes: int) -> None:
    """Replace the classifier of `model`, in place, by fresh layers for `num_classes`.

    Each is like the one it replaces except for the number of outputs, and is initialised by torch
    from the global random state.
    """
    for name in classifier_names(model):
        old = model.get_submodule(name)
        fresh: nn.Module
        if isinstance(old, nn.Linear):
            fresh = nn.Linear(old.in_features, num_classes, bias=old.bias is not None)
        else:
            assert isinstance(old, nn.Conv2d)  # SqueezeNet's, 1×1
            fresh = nn.Conv2d(old.in_channels, num_classes, 1, bias=old.bias is not None)
        model.set_submodule(name, fresh)
    if isinstance(getattr(model, "num_classes", None), int):
        vars(model)["num_classes"] = num_classes  # SqueezeNet remembers it
