"""Following channels through one forward pass.

Every tensor that the network computes gets a *shadow*: an int64 tensor of the same shape that says
which channel each element belongs to. A shadow is constant (stride 0) along every dimension that
has nothing to do with channels, so it costs one integer a channel. Operations that rearrange
elements are applied to the shadow as they are; operations that combine tensors *tie* the channels
that meet. What is tied must be removed together; what cannot be followed is *fixed*, with the
reason.

Atom 0 stands for what never shrinks: the network's input and constants.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from pruneviz.channels import IntArray
from pruneviz.trace.records import Choice, LayerRecord, Pairs
from pruneviz.trace.shadows import core, seen
from pruneviz.trace.sizes import Place
from pruneviz.trace.wires import Wires

LAYERS = (nn.modules.conv._ConvNd, nn.Linear)


class Flow:
    """Everything that is recorded during a forward pass."""

    def __init__(self, model: nn.Module) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.parameters: set[str] = set()
        self._names: dict[int, str] = {}
        self._shadows: Any = WeakTensorKeyDictionary()
        self._maps: Any = WeakTensorKeyDictionary()
        self._settled: set[tuple[str, int]] = set()
        self._known: Any = WeakTensorKeyDictionary()
        self._live: Any = WeakTensorKeyDictionary()
        self.computed: Any = WeakTensorKeyDictionary()
        """What is known of tensors computed from stored ones; see `pruneviz.trace.computed`."""
        self.unsilenced: set[tuple[str, int]] = set()
        """Stored slices that masking must not zero, or the network divides zero by zero."""
        self.computed_reads: list[tuple[IntArray, frozenset[tuple[str, int]]]] = []
        """What computed weights read, and the stored slices that make the weight zero there."""
        self.computed_with: set[Place] = set()
        """Numbers in attributes that the network computes with, so that they cannot change."""
        self.counted_now: set[Place] = set()
        """Those of the call that is being followed that count channels."""
        self.size_uses: dict[Place, list[IntArray]] = {}
        """What each number in an attribute counts, whenever it cuts a tensor."""
        self.seen: set[str] = set()
        """Paths of the layers that ran."""
        self.running: list[nn.Module] = []
        """The modules whose forward pass is under way, the innermost last."""
        self.foreigners = False
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            self.tensors[name] = tensor
            self._names[id(tensor)] = name
        self.parameters = {name for name, _ in model.named_parameters()}
        self.modules = dict(model.named_modules())
        self.paths = {module: path for path, module in self.modules.items()}
        self.atoms = 1
        self.ties: list[Pairs] = []
        self.fixed: list[tuple[IntArray, str]] = []
        self.unmaskable: list[IntArray] = []
        self.choices: dict[str, Choice] = {}
        self.slots: dict[tuple[str, int], int] = {}
        self.layers: dict[str, LayerRecord] = {}
        self.reads: dict[str, set[int]] = {}
        self.counting = True
        self.call_index = -1
        self.attention = False
        self.tokens = False
        self.wires = Wires()

    # -- names ---------------------------------------------------------------------------------

    def name(self, tensor: object) -> str | None:
        """The qualified name of a parameter or buffer, None for anything else."""
        return self._names.get(id(tensor))

    def owner(self, tensor_name: str) -> tuple[str, nn.Module]:
        """The module that holds a tensor."""
        path = tensor_name.rpartition(".")[0]
        return path, self.modules[path]

    def layer_module(self, tensor_name: str) -> tuple[str, nn.Module]:
        """The convolution or linear layer that a tensor is a part of, else the tensor's owner.

        A parametrised layer keeps the parts of its weight in modules within it.
        """
        path = self.owner(tensor_name)[0]
        while path and not isinstance(self.modules[path], LAYERS):
            path = path.rpartition(".")[0]
        holder = path or self.owner(tensor_name)[0]
        return holder, self.modules[holder]

    @property
    def current(self) -> nn.Module | None:
        """The innermost module that is running."""
        return self.running[-1] if self.running else None

    # -- atoms ---------------------------------------------------------------------------------

    def new_atoms(self, count: int) -> IntArray:
        """`count` fresh channel identities."""
        start = self.atoms
        self.atoms += count
        return np.arange(start, self.atoms)

    def slot(self, name: str, dim: int) -> IntArray:
        """The identities of a stored tensor's slices along one dimension."""
        size = self.tensors[name].shape[dim]
        start = self.slots.get((name, dim))
        if start is None:
            start = self.slots[(name, dim)] = int(self.new_atoms(size)[0]) if size else self.atoms
        return np.arange(start, start + size)

    def tie(self, a: IntArray, b: IntArray, reason: str) -> None:
        """`a[i]` and `b[i]` must go together; where one never shrinks the other is fixed."""
        a, b = np.broadcast_arrays(a, b)
        differs = a != b
        a, b = a[differs], b[differs]
        constant = (a == 0) | (b == 0)
        if constant.any():
            self.fix(np.maximum(a, b)[constant], reason)
            a, b = a[~constant], b[~constant]
        if a.size:
            self.ties.append((a, b))

    def fix(self, atoms: IntArray, reason: str) -> None:
        """These channels always stay, and why."""
        atoms = np.unique(atoms)
        atoms = atoms[atoms > 0]
        if atoms.size:
            self.fixed.append((atoms, reason))

    # -- shadows -------------------------------------------------------------------------------

    def shadow(self, tensor: object) -> Tensor | None:
        """The channel of each element, None where the tensor has nothing to do with channels."""
        if not isinstance(tensor, Tensor):
            return None
        known: Tensor | None = self._shadows.get(tensor)
        if known is not None:
            return known
        name = self.name(tensor)
        if name is None:
            return None
        long = [d for d, size in enumerate(tensor.shape) if size > 1]
        if len(long) != 1:
            return None
        atoms = torch.from_numpy(self.slot(name, long[0]))
        view = [1] * tensor.ndim
        view[long[0]] = -1
        return atoms.view(view)

    def know(self, tensor: Tensor) -> None:
        """The tensor was made under watch."""
        self._known[tensor] = True

    def foreign(self, tensor: Tensor) -> bool:
        """Whether the tensor came out of code that cannot be watched, or is no buffer."""
        return (
            tensor.is_floating_point()
            and tensor.numel() > 1
            and self.name(tensor) is None
            and tensor not in self._known
        )

    def is_live(self, tensor: Tensor) -> bool:
        """Whether the tensor was computed from the network's input."""
        return tensor in self._live

    def enliven(self, tensors: Iterable[Tensor]) -> None:
        """These tensors were computed from the network's input."""
        for tensor in tensors:
            if self.name(tensor) is None:
                self._live[tensor] = True

    def set_shadow(self, tensor: Tensor, shadow: Tensor | None) -> None:
        """Attach a shadow to a computed tensor; stored ones are named by their slots alone."""
        if self.name(tensor) is not None:
            return
        if shadow is not None:
            if 0 in shadow.shape:
                shadow = shadow.as_strided(seen(shadow.shape), shadow.stride())
            self._shadows[tensor] = shadow.expand(seen(tensor.shape))
        else:
            self._shadows.pop(tensor, None)
        self._maps.pop(tensor, None)

    def set_map(self, tensor: Tensor, layer: LayerRecord, first_call: int) -> None:
        """The tensor is (so far) the layer's feature map."""
        if not self.counting:
            return
        self._maps[tensor] = (layer, first_call, self.call_index)
        if (layer.name, first_call) not in self._settled:
            layer.maps_at[first_call] = self.call_index

    def pass_map(self, source: Tensor, tensor: Tensor, of: Any) -> None:
        """A normalisation or activation directly after a layer belongs to its feature map."""
        if of is not None and tensor.shape == source.shape:
            layer, first_call, _ = of
            self.set_map(tensor, layer, first_call)

    def map_of(self, tensor: Tensor) -> Any:
        """The layer whose feature map the tensor is, None if it is nobody's."""
        return self._maps.get(tensor)

    def read_map(self, of: Any) -> None:
        """A feature map is read. If an activation took it over before, it is read twice (as in
        `x * sigmoid(x)`): then it is the map itself that says what the layer does.
        """
        if of is None:
            return
        layer, first_call, call = of
        if call < layer.maps_at.get(first_call, call):
            layer.maps_at[first_call] = call
            self._settled.add((layer.name, first_call))

    def vector(self, shadow: Tensor, dim: int, reason: str) -> IntArray:
        """(size of dim,) one identity a slice; what differs within a slice is tied."""
        short = core(shadow)
        if short.shape[dim] != shadow.shape[dim]:
            sizes = list(short.shape)
            sizes[dim] = shadow.shape[dim]
            short = short.expand(sizes)
        table = short.movedim(dim, 0).reshape(shadow.shape[dim], -1).numpy()
        first: IntArray = table[:, 0].copy()
        if table.shape[1] > 1:
            self.tie(first[:, None], table[:, 1:], reason)
            first = table.max(axis=1) if (first == 0).any() else first
        return first

    def counted_by(self, place: Place, atoms: IntArray) -> None:
        """A number kept in an attribute counts these channels: so it does after a removal."""
        self.counted_now.add(place)
        uses = self.size_uses.setdefault(place, [])
        if all(atoms.size == other.size for other in uses):
            uses.append(atoms)
        else:
            self.fix(
                np.concatenate([atoms, *uses]),
                "its number of channels is read together with that of others",
            )

    def settle_sizes(self) -> None:
        """Once all is seen: what one number counts goes in step; what is computed with stays."""
        for place, uses in self.size_uses.items():
            if place in self.computed_with:
                name = ".".join(part for part in place[:2] if part)
                self.fix(
                    np.concatenate(uses),
                    f"its number of channels is read into {name}, and the code computes with it",
                )
                continue
            for other in uses[1:]:
                self.tie(uses[0], other, "its number of channels is read together with a constant")

    def fix_all(self, tensors: Iterable[object], reason: str) -> None:
        """Fix every channel that these tensors carry."""
        for tensor in tensors:
            shadow = self.shadow(tensor)
            if shadow is not None:
                self.fix(core(shadow).numpy().ravel(), reason)
