"""What each torch operation does to the channels of a weight that is computed."""

from __future__ import annotations

from torch import Tensor

from pruneviz.channels import IntArray
from pruneviz.trace.computed import Aspect, Inputs, NotFollowed, Slot, rule
from pruneviz.trace.elementwise import ACTIVATION_NAMES, ELEMENTWISE_NAMES
from pruneviz.trace.flow import Flow
from pruneviz.trace.operations import Call
from pruneviz.trace.shadows import along, core, varying
from pruneviz.trace.sizes import Share, Size


def _only(aspect: Aspect) -> int:
    """The dimension along which an aspect lies."""
    dims = varying(aspect.shadow)
    if len(dims) != 1:
        raise NotFollowed
    return dims[0]


_ZERO_STAYS = (
    "neg abs relu relu6 leaky_relu tanh sign square sqrt sin tan asinh sinh erf expm1 log1p "
    "contiguous clone detach to float half double bfloat16 positive type type_as cpu data "
    "requires_grad alias floor ceil round mul imul rmul multiply"
)
ZERO_STAYS = frozenset(_ZERO_STAYS.split())
BY_THE_FIRST = ("div", "idiv", "true_divide", "truediv", "itruediv", "divide")
TOGETHER = ("add", "sub", "iadd", "isub", "subtract", "maximum", "minimum")


@rule([*ELEMENTWISE_NAMES, *ACTIVATION_NAMES])
def _elementwise(flow: Flow, call: Call, inputs: Inputs) -> list[Aspect]:
    """Channels that meet in the same place are coupled, for each dimension separately."""
    out = call.outputs[0]
    carriers = [aspects for aspects in inputs if aspects]
    for value in (*call.args, *call.kwargs.values()):
        if isinstance(value, (Size, Share)):
            flow.unmaskable.append(value.channels)
    if len(carriers) == 1 and len(call.inputs) == 1:
        return [a if call.name in ZERO_STAYS else Aspect(a.shadow, frozenset()) for a in inputs[0]]
    by_dim: dict[int, list[tuple[int, Aspect]]] = {}
    for index, (tensor, aspects) in enumerate(zip(call.inputs, inputs, strict=True)):
        for aspect in aspects:
            dim = _only(aspect) + out.ndim - tensor.ndim
            by_dim.setdefault(dim, []).append((index, aspect))
    made = []
    for dim, parts in by_dim.items():
        vectors = [flow.vector(a.shadow, _only(a), "") for _, a in parts]
        for vector in vectors[1:]:
            flow.tie(vectors[0], vector, "")
        for index, tensor in enumerate(call.inputs):
            own = dim - out.ndim + tensor.ndim
            sized = own >= 0 and tensor.shape[own] > 1
            if sized and index not in {i for i, _ in parts}:
                flow.fix(vectors[0], f"is combined with a constant of fixed size by {call.full}")
        zeroed = _zeroed(call, dict(parts))
        made.append(Aspect(along(vectors[0], out.shape, dim), zeroed))
    return made


def _zeroed(call: Call, parts: dict[int, Aspect]) -> frozenset[Slot]:
    sets = [a.zeroed_by for a in parts.values()]
    if call.name in ZERO_STAYS:
        return frozenset().union(*sets)
    if call.name in BY_THE_FIRST:
        return parts[0].zeroed_by if 0 in parts else frozenset()
    if call.name in TOGETHER and len(parts) == len(call.inputs):
        return sets[0].intersection(*sets[1:])
    return frozenset()


@rule("permute transpose swapaxes swapdims movedim moveaxis t T mT squeeze unsqueeze flip")
def _literal(flow: Flow, call: Call, inputs: Inputs) -> list[Aspect]:
    if call.name == "mT":
        return [a.like(a.shadow.transpose(-1, -2)) for a in inputs[0]]
    method = getattr(Tensor, {"T": "t"}.get(call.name, call.name))
    return [a.like(method(a.shadow, *call.args[1:], **call.kwargs)) for a in inputs[0]]


@rule("view reshape flatten view_as reshape_as")
def _reshape(flow: Flow, call: Call, inputs: Inputs) -> list[Aspect]:
    """Sizes read off the tensor, or kept by the layer itself, follow; others do not."""
    out = call.outputs[0]
    made = []
    for aspect in inputs[0]:
        reshaped = aspect.like(aspect.shadow.reshape(out.shape))
        for dim in varying(reshaped.shadow):
            if not _follows(flow, call, dim):
                flow.fix(reshaped.atoms, f"its weight is reshaped to a fixed size by {call.full}")
        if len(varying(reshaped.shadow)) > 1:
            raise NotFollowed
        made.append(reshaped)
    return made


def _follows(flow: Flow, call: Call, dim: int) -> bool:
    if call.name in ("flatten", "view_as", "reshape_as", "expand_as", "broadcast_to"):
        return True
    given = call.args[1:] or (call.kwargs.get("size") or call.kwargs.get("shape"),)
    listed = list(given[0]) if isinstance(given[0], (tuple, list)) else list(given)
    size = listed[dim]
    if int(size) == -1 or isinstance(size, Size):
        return True
    known = ("out_channels", "in_channels", "out_features", "in_features")
    return any(getattr(flow.current, name, None) == int(size) for name in known)


@rule("expand expand_as broadcast_to")
def _expand(flow: Flow, call: Call, inputs: Inputs) -> list[Aspect]:
    out, x = call.outputs[0], call.first
    for aspect in inputs[0]:
        grown = {d for d in range(x.ndim) if x.shape[d] != out.shape[d + out.ndim - x.ndim]}
        dims = set(varying(aspect.shadow))
        if grown & dims:
            raise NotFollowed
        if not all(_follows(flow, call, d + out.ndim - x.ndim) for d in dims):
            flow.fix(aspect.atoms, "is expanded to a fixed size")
    return [a.like(a.shadow.expand(out.shape)) for a in inputs[0]]


@rule("pad")
def _pad(flow: Flow, call: Call, inputs: Inputs) -> list[Aspect]:
    """A kernel with a border of zeros around it."""
    out = call.outputs[0]
    made = []
    for aspect in inputs[0]:
        if any(call.first.shape[d] != out.shape[d] for d in varying(aspect.shadow)):
            raise NotFollowed
        made.append(Aspect(core(aspect.shadow).expand(out.shape), aspect.zeroed_by))
    return made


@rule("getitem")
def _getitem(flow: Flow, call: Call, inputs: Inputs) -> list[Aspect]:
    """Slices of the kernel are followed; a choice of channels is not."""
    key = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    if not all(k is None or k is Ellipsis or isinstance(k, (int, slice)) for k in key):
        raise NotFollowed
    made = []
    for aspect in inputs[0]:
        sliced = aspect.like(aspect.shadow[key])
        if sliced.atoms.size == aspect.atoms.size:
            made.append(sliced)
        elif sliced.atoms.size == 1:  # one filter for all, `weight[0].numel()`: after a removal
            flow.unmaskable.append(aspect.atoms)  # it may be another one
        else:
            raise NotFollowed
    return made


NOTHING_FOR_ZERO = ("sum", "norm", "vector_norm", "nansum")


@rule("mean sum var std norm vector_norm var_mean std_mean nansum amax amin max min")
def _reduce(flow: Flow, call: Call, inputs: Inputs) -> list[Aspect]:
    """A statistic of each filter, or of all: what it runs over is mixed, the rest stays."""
    if len(call.inputs) > 1:
        return _elementwise(flow, call, inputs)
    x, out = call.first, call.outputs[0]
    dims = call.dims(2 if call.name in ("norm", "vector_norm") else 1)
    if not dims or isinstance(call.arg(1, "dim"), bool):
        dims = list(range(x.ndim))
    made = []
    for aspect in inputs[0]:
        if set(varying(aspect.shadow)) & set(dims):
            if call.name not in NOTHING_FOR_ZERO:
                flow.unmaskable.append(aspect.atoms)
            continue
        short = core(aspect.shadow)
        if out.ndim != x.ndim:
            for d in sorted(dims, reverse=True):
                short = short.select(d, 0)
        flow.unsilenced |= aspect.zeroed_by  # what is divided by this must not become 0 / 0
        made.append(Aspect(short.expand(out.shape), aspect.zeroed_by))
    return made


@rule("weight_norm weight_norm_interface norm_except_dim")
def _weight_norm(flow: Flow, call: Call, inputs: Inputs) -> list[Aspect]:
    """`g * v / |v|`, the norm taken over all but one dimension (Salimans & Kingma 2016)."""
    out = call.outputs[0]
    if call.name == "norm_except_dim":
        dim, others = int(call.arg(2, "dim", 0)), []
    else:
        dim, others = int(call.arg(2, "dim", 0)), [a for a in inputs[1] if a.shadow.numel() > 1]
    made = []
    for aspect in inputs[0]:
        if _only(aspect) != dim:
            if call.name != "norm_except_dim":
                made.append(aspect)
            continue
        flow.unsilenced |= aspect.zeroed_by
        zeroed: frozenset[Slot] = frozenset()
        vector = flow.vector(aspect.shadow, dim, "")
        for other in others:
            flow.tie(vector, flow.vector(other.shadow, _only(other), ""), "")
            zeroed |= other.zeroed_by
        made.append(Aspect(along(vector, out.shape, dim), zeroed))
    return made


@rule("batch_norm instance_norm layer_norm normalize")
def _normalise(flow: Flow, call: Call, inputs: Inputs) -> list[Aspect]:
    """Standardised by a function that is meant for activations; its epsilon keeps zeros whole."""
    x = call.first
    if call.name == "normalize":
        dims = call.dims(2) or [1]
    elif call.name == "layer_norm":
        dims = list(range(x.ndim - len(list(call.arg(1, "normalized_shape"))), x.ndim))
    else:
        dims = [d for d in range(x.ndim) if d != 1]
        if call.name == "instance_norm":
            dims = [d for d in dims if d != 0]
    made = []
    for aspect in inputs[0]:
        zeroed = aspect.zeroed_by
        if _only(aspect) in dims and call.name != "normalize":
            flow.unmaskable.append(aspect.atoms)
            zeroed = frozenset()
        made.append(Aspect(aspect.shadow, zeroed))
    across = [a for a in made if _only(a) == 1]
    for aspects in inputs[1:]:
        for other in aspects:
            if call.name == "layer_norm" or not across:
                raise NotFollowed
            vector = flow.vector(across[0].shadow, 1, "")
            flow.tie(vector, flow.vector(other.shadow, _only(other), ""), "")
    return made


@rule("mv mm matmul dot vdot")
def _product(flow: Flow, call: Call, inputs: Inputs) -> list[Aspect]:
    """Spectral norm's `u · W v`, and weights of low rank."""
    a, b = call.inputs
    if a.ndim > 2 or b.ndim > 2 or len(call.inputs) != 2:
        raise NotFollowed
    out = call.outputs[0]
    inner_b = 0
    made, meeting = [], []
    for aspect in inputs[0]:
        if _only(aspect) == a.ndim - 1:
            meeting.append(flow.vector(aspect.shadow, a.ndim - 1, ""))
        else:
            made.append(Aspect(along(_vector(flow, aspect), out.shape, 0), aspect.zeroed_by))
    for aspect in inputs[1]:
        if _only(aspect) == inner_b:
            meeting.append(flow.vector(aspect.shadow, inner_b, ""))
        else:
            last = out.ndim - 1
            made.append(Aspect(along(_vector(flow, aspect), out.shape, last), aspect.zeroed_by))
    if len(meeting) == 1:
        flow.fix(meeting[0], f"is multiplied with a constant of fixed size by {call.full}")
    elif len(meeting) > 1:
        flow.tie(meeting[0], meeting[1], "")
    return made


def _vector(flow: Flow, aspect: Aspect) -> IntArray:
    return flow.vector(aspect.shadow, _only(aspect), "")
