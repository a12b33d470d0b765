"""What a forward pass shows of a layer, and of the ways in which a grouped operation can shrink."""

from __future__ import annotations

from dataclasses import dataclass, field

from pruneviz.channels import IntArray

Pairs = tuple[IntArray, IntArray]


@dataclass
class LayerRecord:
    """What is learned about a layer while the network runs."""

    name: str
    kind: str
    weight: str
    out: IntArray
    in_channels: int
    conv_groups: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...] = ()
    called_at: int = -1
    """The first call that applies the weight."""
    computed: bool = False
    """Whether the weight is computed while the network runs, from `weight` and others."""
    countable: bool = True
    """Whether the weight has as many elements as the stored tensor `weight`, pruned or not."""
    positions: int = 0
    parameters: int = 0
    macs: int = 0
    maps_at: dict[int, int] = field(default_factory=dict)
    """First call of the layer -> call that gives its feature map."""


@dataclass(frozen=True)
class Choice:
    """Two ways to shrink a grouped operation: whole groups, or one position in every group."""

    module: str
    layer: str
    tensor: str
    """The stored tensor whose rows tell how many groups are left."""
    groups: int
    whole: tuple[Pairs, ...]
    position: tuple[Pairs, ...]
    unmaskable: IntArray
    """Atoms whose removal masking cannot imitate if positions are removed (group norm)."""
    whole_finer: bool
    adjustable: bool
    """Whether the number of groups can be changed: it is an attribute of a module."""
    depthwise: bool = False
    by_number: bool = False
    """Whether the number of groups is kept in an attribute that follows by itself."""

    @property
    def decided(self) -> bool:
        """Whether there is nothing to choose."""
        return not self.adjustable or self.depthwise
