"""Moments of what every layer of the unpruned network reads: gathered once, used for any plan.

For a layer that reads C channels x, over images and positions:

    mean_i = E[x_i],    covariance_ij = E[(x_i - mean_i) (x_j - mean_j)]

They say how well a channel can be predicted from others, which is all that the instant repair and
the criterion `reconstruction` need.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pruneviz.bars import Progress, bar
from pruneviz.channels import ChannelGraph
from pruneviz.errors import InvalidValueError
from pruneviz.repair.calls import KINDS, LayerCall, Run, watching
from pruneviz.repair.images import sample, usual_images
from pruneviz.repair.structure import Structure, structure
from pruneviz.training.weights import digest_weights

if TYPE_CHECKING:
    import pandas as pd

    from pruneviz.data import DataSet

FORMAT = "pruneviz-statistics/2"
MOST_CHANNELS = 4096
"""A layer that reads more (a classifier of flattened maps) has no moments; they fill memory."""
ROWS = 16384
"""Positions a mini-batch that are looked at, at most."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean (C,) and covariance (C, C) of what a layer reads, double precision."""

    mean: Tensor
    covariance: Tensor

    @property
    def second(self) -> Tensor:
        """(C, C) E[x_i x_j]."""
        return self.covariance + torch.outer(self.mean, self.mean)


@dataclass(frozen=True, eq=False)
class Statistics:
    """The moments of each layer's input, over `images` training images."""

    network: str
    """Digest of the network's structure and weights."""
    data: str
    """Digest of the data set."""
    images: int
    moments: Mapping[str, Moments] = field(repr=False)
    """Layer -> moments; layers with grouped weights, or too many channels, have none."""
    behind: Structure = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """One row per layer: channels read, and how many of them a few directions make up.

        `dimension` is the participation ratio of the covariance's eigenvalues, tr(C)^2 / tr(C^2):
        from 1 (all channels say the same) to the number of channels.
        """
        import pandas as pd

        rows = [
            {
                "layer": name,
                "channels": len(m.mean),
                "dimension": float(m.covariance.trace() ** 2)
                / max(float(m.covariance.square().sum()), 1e-300),
            }
            for name, m in self.moments.items()
        ]
        return pd.DataFrame(rows, columns=["layer", "channels", "dimension"])

    def save(self, path: str | Path) -> None:
        """Write a safetensors file."""
        from safetensors.torch import save_file

        tensors = {}
        for name, m in self.moments.items():
            tensors[f"{name}/mean"], tensors[f"{name}/covariance"] = m.mean, m.covariance
        about = {
            "format": FORMAT,
            "network": self.network,
            "data": self.data,
            "images": str(self.images),
            "norms": json.dumps(dict(self.behind.norms)),
            "others": json.dumps(dict(self.behind.others)),
            "rectified": json.dumps(dict(self.behind.rectified)),
        }
        save_file(tensors, str(path), metadata=about)

    @classmethod
    def load(cls, path: str | Path) -> Statistics:
        """Read what `save` wrote.

        Raises:
            InvalidValueError: The file is missing, or holds something else.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), "pt") as file:
                about = file.metadata() or {}
                if about.get("format") != FORMAT:
                    raise InvalidValueError(
                        f"'{path}' holds no statistics of format {FORMAT}; gather them again with "
                        "pv.statistics."
                    )
                names = [k.removesuffix("/mean") for k in file.keys() if k.endswith("/mean")]  # noqa: SIM118 - no mapping
                moments = {
                    n: Moments(file.get_tensor(f"{n}/mean"), file.get_tensor(f"{n}/covariance"))
                    for n in names
                }
                others = {
                    x: (str(at), int(n)) for x, (at, n) in json.loads(about["others"]).items()
                }
                rectified = json.loads(about.get("rectified", "{}"))
                behind = Structure(json.loads(about["norms"]), others, rectified)
                count = int(about["images"])
        except (OSError, SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise InvalidValueError(
                f"'{path}' cannot be read as statistics ({error}); gather them again with "
                "pv.statistics."
            ) from error
        return cls(about["network"], about["data"], count, moments, behind)

    def check(self, model: nn.Module, graph: ChannelGraph) -> None:
        """Refuse statistics of another network, or of other weights.

        Raises:
            InvalidValueError: They are.
        """
        if self.network != network_digest(model, graph):
            raise InvalidValueError(
                "These statistics were gathered from another network or other weights; gather "
                "them from this one with pv.statistics."
            )


def statistics(
    model: nn.Module,
    graph: ChannelGraph,
    data: DataSet,
    *,
    images: int | None = None,
    batch_size: int = 64,
    progress: Progress = None,
) -> Statistics:
    """Gather the moments of every layer's input, once for all plans.

    Args:
        model: The unpruned network; it is not changed.
        graph: Its channels, from `trace`.
        data: Its training images are used, without augmentation and without labels.
        images: How many, balanced over the classes; by default 512, fewer if they are large.
        batch_size: Images in a mini-batch; memory is bounded by one of them.
        progress: Called with the images done and their number; False for no bar.

    Raises:
        DataError: There are no training images.
        InvalidValueError: Fewer than one image.

    >>> import pruneviz as pv
    >>> data = pv.load_dataset("digits")
    >>> model = pv.load_model("resnet20", weights="digits")
    >>> seen = pv.statistics(model, pv.trace(model, data.input_shape), data, images=64)
    >>> len(seen.moments["layer1.0.conv1"].mean)
    16
    """

    def told(batches: Iterable[Tensor]) -> Iterator[Tensor]:
        done = 0
        for x in batches:
            yield x
            done += len(x)
            tick(done, min(images or usual_images(graph), len(data.train)))

    with bar("Gathering statistics", progress) as tick:
        batches = told(sample(model, graph, data, images, batch_size))
        moments, behind, count = gather(model, graph, batches)
    return Statistics(network_digest(model, graph), data.digest, count, moments, behind)


def gather(
    model: nn.Module, graph: ChannelGraph, batches: Iterable[Tensor]
) -> tuple[dict[str, Moments], Structure, int]:
    """Run mini-batches (B, C, H, W) through a network: moments by layer, structure, images."""
    sums: dict[str, _Sums] = {}
    behind = Structure()

    def visit(call: LayerCall, run: Run) -> Tensor:
        if call.groups == 1:
            channels = call.x.shape[1 if KINDS[call.layer.kind] else -1]
            if channels <= MOST_CHANNELS:
                sums.setdefault(call.layer.name, _Sums(channels)).add(call)
        return run()

    count = 0
    for x in batches:
        if not count:
            behind = structure(model, graph, x[:2])
        with watching(model, graph, visit):
            model(x)
        count += len(x)
    return {name: total.moments() for name, total in sums.items()}, behind, count


class _Sums:
    """Sums over mini-batches, shifted by the first one's mean so that nothing cancels."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.shift: Tensor | None = None
        self.first = torch.zeros(channels, dtype=torch.float64)
        self.second = torch.zeros(channels, channels, dtype=torch.float64)

    def add(self, call: LayerCall) -> None:
        x = call.x.movedim(1, -1) if KINDS[call.layer.kind] else call.x
        rows = x.reshape(-1, x.shape[-1])
        if len(rows) > ROWS:
            rows = rows[:: -(-len(rows) // ROWS)]
        rows = rows.double().cpu()
        if self.shift is None:
            self.shift = rows.mean(0)
        rows = rows - self.shift
        self.count += len(rows)
        self.first += rows.sum(0)
        self.second += rows.T @ rows

    def moments(self) -> Moments:
        mean = self.first / self.count
        covariance = self.second / self.count - torch.outer(mean, mean)
        assert self.shift is not None
        return Moments(mean + self.shift, covariance)


def network_digest(model: nn.Module, graph: ChannelGraph) -> str:
    """Names a network's structure and weights."""
    return digest_weights(model, graph.digest)
