"""From a record to code: a class for every kind of block, and the line that assembles them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pruneviz.export.plain.batch import follow_batch
from pruneviz.export.plain.capture import capture
from pruneviz.export.plain.flow import arrange
from pruneviz.export.plain.tree import Layout

BATCHES = (2, 3)
"""Images of the two passes that are compared; one image alone hides what a batch does."""

_HEAD = (
    '"""{title}\n\nPlain PyTorch: this file and its weights, {weights}, need only '
    "torch.\n\n    from {stem} import load\n    network = load()\n    scores = "
    'network(images)        # {shape}\n"""\n\nfrom pathlib import Path\n\nimport torch\n'
    "import torch.nn.functional as F\nfrom torch import nn\n\n\nclass Parts(nn.Module):\n    "
    '"""A module that is made of the parts that it is given; its forward says what it '
    'computes."""\n\n    def __init__(self, **parts):\n        super().__init__()\n        '
    "for name, part in parts.items():\n            if isinstance(part, torch.Tensor) and not "
    "isinstance(part, nn.Parameter):\n                self.register_buffer(name, "
    "part)\n            else:\n                setattr(self, name, part)\n\n    def "
    "__getitem__(self, name):\n        return getattr(self, str(name))\n\n    @property\n    "
    "def device(self):\n        return next(iter(self.state_dict().values()), "
    "torch.empty(0)).device\n"
)

_TAIL = '''

def build():
    """Return the network with weights as torch draws them."""
    return {network}{dtype}


def load(weights=Path(__file__).with_name({weights!r})):
    """Return the network with its weights, ready to be used."""
    network = build()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network.eval()
'''


@dataclass(frozen=True)
class PlainNetwork:
    """Code that needs only torch, and the tensors that it loads."""

    source: str
    state: dict[str, Tensor] = field(repr=False)


def plain_network(
    network: nn.Module,
    input_shape: Sequence[int],
    *,
    title: str = "",
    stem: str = "network",
) -> PlainNetwork:
    """Write a network as plain PyTorch code.

    It computes what the network computes in eval mode for images of `input_shape` (C, H, W), any
    number at a time. What a pass does not use (auxiliary classifiers, stochastic depth) is left
    out; of several outputs, the first or the logits remain.

    Raises:
        ExportError: An operation cannot be written as code; the message names it.
    """
    at = next(network.parameters(), torch.zeros(()))
    records = [
        capture(network, torch.randn(n, *input_shape, generator=_seeded(n)).to(at.dtype))
        for n in BATCHES
    ]
    record = records[0]
    follow_batch(record, records[1], BATCHES)
    layout = Layout.of(network, record)
    program = arrange(record, layout)
    state = layout.state()
    dtype = "" if at.dtype == torch.float32 else f".to({at.dtype})"
    head = _HEAD.format(
        title=title or f"{type(network).__name__}, as pruned by PruneViz.",
        weights=f"{stem}.pt",
        stem=stem if stem.isidentifier() else re.sub(r"\W", "_", stem),
        shape=f"(N, {', '.join(map(str, input_shape))}) -> (N, classes)",
    )
    classes = "".join(f"\n\n{text}" for text in program.classes)
    made = layout.code(program)
    tail = _TAIL.format(network=made, dtype=dtype, weights=f"{stem}.pt")
    source = head + classes + tail
    if "OrderedDict(" in source:
        source = source.replace("from pathlib", "from collections import OrderedDict\nfrom pathlib")
    return PlainNetwork(source, state)


def _seeded(n: int) -> torch.Generator:
    return torch.Generator().manual_seed(n)


__all__ = ["PlainNetwork", "plain_network"]
