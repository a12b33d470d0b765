"""The modules that a pass used, as the expression that builds them."""

from __future__ import annotations

import keyword
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pruneviz.export.plain.parts import constructor
from pruneviz.export.plain.record import Call, Record, Region, Stored, leaves, references

_WIDTH = 96


@dataclass(frozen=True)
class Program:
    """The classes of the file, and which of them (or of torch's) each module is."""

    classes: tuple[str, ...]
    kinds: dict[str, str]


@dataclass(eq=False)
class Layout:
    """The modules, parameters and buffers, each below its module, in order."""

    modules: dict[str, nn.Module]
    tensors: dict[str, Tensor]
    """Parameters and buffers that the code itself names, and constants."""
    children: dict[str, list[str]] = field(default_factory=dict)
    """Path of a module -> names of what it holds and the pass used."""

    @classmethod
    def of(cls, network: nn.Module, record: Record) -> Layout:
        """Collect what a record names."""
        modules = dict(network.named_modules(remove_duplicate=False))
        stored = {
            **dict(network.named_parameters(remove_duplicate=False)),
            **dict(network.named_buffers(remove_duplicate=False)),
            **record.constants,
        }
        used: set[str] = {""}
        tensors: dict[str, Tensor] = {}
        for event in leaves(record.root):
            if isinstance(event, Call):
                used.add(event.path)
            for reference in references((event.args, event.kwargs)):
                if isinstance(reference, Stored):
                    tensors[reference.name] = stored[reference.name]
        used |= {r.path for r in _regions(record.root) if r.body}
        layout = cls(modules, tensors)
        for path in [*used, *tensors]:
            while path:
                path, _, name = path.rpartition(".")
                own = layout.children.setdefault(path, [])
                if name not in own:
                    own.append(name)
        for path, names in layout.children.items():
            order = {name: i for i, name in enumerate(_order(modules[path]))}
            names.sort(key=lambda name: order.get(name, len(order)))
        return layout

    def is_leaf(self, path: str) -> bool:
        """Whether the module is written as one constructor of torch's own."""
        return constructor(self.modules[path]) is not None

    def listed(self, path: str) -> bool:
        """Whether the module holds its parts by number, like a list."""
        kinds = (nn.Sequential, nn.ModuleList)
        names = self.children.get(path, [])
        return isinstance(self.modules[path], kinds) and all(n.isdigit() for n in names)

    def access(self, owner: str, target: str) -> str:
        """How a module's code refers to a part of it: `self.layer1[0].conv1`."""
        steps = target[len(owner) + 1 if owner else 0 :].split(".")
        text = "self"
        for step in steps:
            if step.isidentifier() and not keyword.iskeyword(step):
                text += f".{step}"
            else:
                text += f"[{step}]" if step.isdigit() else f"[{step!r}]"
        return text

    def code(self, program: Program) -> str:
        """The expression that builds the network."""
        return self._code("", program, 1)

    def _code(self, path: str, program: Program, depth: int) -> str:
        if path in self.tensors:
            return _tensor(self.tensors[path])
        module = self.modules[path]
        text = constructor(module) if path else None
        if text is not None:
            return text
        below = {
            name: self._code(f"{path}.{name}" if path else name, program, depth + 1)
            for name in self.children.get(path, [])
        }
        kind = program.kinds.get(path)
        if kind == "nn.Sequential":
            if self.listed(path):
                return _call(kind, _filled(below), depth)
            if all(map(_is_name, below)):
                inner = [_keyword(name, text) for name, text in below.items()]
                return f"{kind}({_call('OrderedDict', inner, depth)})"
            pairs = [f"{name!r}: {text}" for name, text in below.items()]
            return f"{kind}({_call('OrderedDict', pairs, depth, '({', '})')})"
        if kind is None and self.listed(path):
            return _call("nn.ModuleList", _filled(below), depth, "([", "])")
        plain = [_keyword(n, text) for n, text in below.items() if _is_name(n)]
        odd = {n: text for n, text in below.items() if not _is_name(n)}
        if odd:
            pairs = [f"{n!r}: {text}" for n, text in odd.items()]
            plain.append("**" + _call("", pairs, depth, "{", "}"))
        return _call(kind or "Parts", plain, depth)

    def state(self) -> dict[str, Tensor]:
        """The tensors that the built network loads, under its names for them."""
        tensors: dict[str, Tensor] = {}
        for path in self._paths(""):
            if path in self.tensors:
                tensors[path] = self.tensors[path]
            elif path and self.is_leaf(path):
                for name, tensor in self.modules[path].state_dict().items():
                    tensors[f"{path}.{name}"] = tensor
        return {
            # in a layout of its own: a channels-last tensor would load as it was saved
            name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, tensor in tensors.items()
        }

    def _paths(self, path: str) -> Iterable[str]:
        yield path
        if path in self.tensors or (path and self.is_leaf(path)):
            return
        for name in self.children.get(path, []):
            yield from self._paths(f"{path}.{name}" if path else name)


def _regions(region: Region) -> Iterable[Region]:
    yield region
    for event in region.body:
        if isinstance(event, Region):
            yield from _regions(event)


def _order(module: nn.Module) -> list[str]:
    own = [name for name, _ in module.named_parameters(recurse=False)]
    own += [name for name, _ in module.named_buffers(recurse=False)]
    return own + list(module._modules)


def _is_name(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name)


def _keyword(name: str, text: str) -> str:
    return f"{name}={text}"


def _filled(below: dict[str, str]) -> list[str]:
    """Parts by number; a gap, where a pass skipped a module, becomes an identity."""
    last = max((int(name) for name in below), default=-1)
    return [below.get(str(i), "nn.Identity()") for i in range(last + 1)]


def _call(head: str, items: list[str], depth: int, opening: str = "(", closing: str = ")") -> str:
    """A call on one line if it fits, else one argument per line."""
    line = f"{head}{opening}{', '.join(items)}{closing}"
    if "\n" not in line and len(line) + 4 * depth <= _WIDTH:
        return line
    inside, outside = "    " * (depth + 1), "    " * depth
    body = "".join(f"{inside}{item},\n" for item in items)
    return f"{head}{opening}\n{body}{outside}{closing}"


def _tensor(tensor: Tensor) -> str:
    sizes = ", ".join(map(str, tensor.shape)) if tensor.ndim else "()"
    dtype = "" if tensor.dtype == torch.float32 else f", dtype={tensor.dtype}"
    made = f"torch.empty({sizes}{dtype})"
    if isinstance(tensor, nn.Parameter):
        grad = "" if tensor.requires_grad else ", requires_grad=False"
        return f"nn.Parameter({made}{grad})"
    return made
