"""What a network runs in while it is timed: PyTorch itself, or a runtime that it is exported to.

Runtimes that need an export stand above this part and are named here, not imported.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

TORCH = "torch"
RUNTIMES = {
    TORCH: "pruneviz.latency.eager",
    "onnxruntime": "pruneviz.export.runtime",
    "openvino": "pruneviz.export.openvino",
}
"""By name: the module whose `passes(model, images, threads)` gives one forward pass as a call."""


def passes(runtime: str, model: nn.Module, images: Tensor, threads: int) -> Callable[[], None]:
    """One forward pass of a network (eval mode) on images (B, C, H, W), ready to be timed.

    Raises:
        MissingExtraError: the runtime is not installed.
        ExportError: it cannot hold the network.
    """
    one_pass: Callable[[], None] = import_module(RUNTIMES[runtime]).passes(model, images, threads)
    return one_pass
