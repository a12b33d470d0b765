"""A small graph and its scores, for pictures of layers."""

from __future__ import annotations

import math

import numpy as np

from pruneviz.channels import ChannelGraph, Group, Layer


def small_graph() -> ChannelGraph:
    """A plain layer 'a', two tied layers 'b' and 'c', and a closed one 'out'."""

    def layer(name: str, group: str, units: list[int], **kwargs: object) -> Layer:
        values: dict[str, object] = {
            "kind": "conv2d",
            "in_channels": 3,
            "kernel": (3, 3),
            "conv_groups": 1,
            "positions": 64,
            "macs": 1000,
            "parameters": 100,
            "prunable": True,
            "reason": None,
            "maps_at": (),
            "weight": f"{name}.weight",
            **kwargs,
        }
        return Layer(
            name=name,
            group=group,
            groups=(group,),
            out_channels=len(units),
            units=np.array(units),
            **values,  # type: ignore[arg-type]
        )

    def group(name: str, layers: tuple[str, ...], width: int, start: int, ok: bool = True) -> Group:
        reason = None if ok else "is the network's output"
        return Group(name, layers, width, len(layers), ok, reason, True, "", start)

    return ChannelGraph(
        input_shape=(3, 8, 8),
        layers=(
            layer("a", "a", [0, 1, 2, 3]),
            layer("b", "b", [4, 5, 6]),
            layer("c", "b", [4, 5, 6]),
            layer("out", "out", [7, 8], prunable=False, reason="is the network's output"),
        ),
        groups=(
            group("a", ("a",), 4, 0),
            group("b", ("b", "c"), 3, 4),
            group("out", ("out",), 2, 7, ok=False),
        ),
        tensors=(),
        whole_groups=(),
    )


SCORES = np.array([0.4, 0.1, 0.3, 0.2, 3.0, 1.0, 2.0, math.nan, math.nan])
