"""What a pickle would do, found out without doing it.

`torch.load(weights_only=True)` runs no foreign code, but what it does run may take any amount of
memory: 38 bytes can make a `bytearray` of six billion. So the instructions are checked first. They
may build tensors, and the plain values that training scripts put beside them, but nothing large
from few bytes.
"""

from __future__ import annotations

import pickletools
from typing import Any, BinaryIO

from pruneviz.errors import WeightsError

MAX_BYTES = 4 * 2**20
"""The most bytes of instructions, without tensor data; those of ResNet-152 take 0.1 MiB."""

MAX_TENSORS = 100_000

MAX_COPIED = 256 * 2**20
"""The most bytes that plain values may take when they are built from other values."""

TENSORS = {
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_parameter_with_state",
    "torch._utils _rebuild_sparse_tensor",
    "torch._utils _rebuild_qtensor",
    "torch._utils _rebuild_meta_tensor_no_storage",
    "torch._utils _rebuild_device_tensor_from_numpy",
    "torch._tensor _rebuild_from_type_v2",
}
"""Functions that make a tensor from data in the file; `checkpoints` refuses unusual kinds."""

VALUES = {
    "collections OrderedDict",
    "collections Counter",
    "collections defaultdict",
    "builtins set",
    "__builtin__ set",
    "_codecs encode",
    "torch Size",
    "torch device",
    "torch.serialization _get_layout",
}
"""Functions that copy their arguments."""

_MARK = object()


def check(file: BinaryIO, where: str, pickles: int = 1) -> None:
    """Check this many consecutive pickles, as torch reads them.

    Raises `WeightsError` where they want something else than tensors and plain values, or more
    memory than the file gives reason for; and where they are damaged.
    """
    for _ in range(pickles):
        _walk(file, where)


def _walk(file: BinaryIO, where: str) -> None:
    start, tensors, copies = file.tell(), 0, 0
    stack: list[Any] = []
    memo: dict[Any, Any] = {}
    try:
        for code, argument, position in pickletools.genops(file):
            length = (position or start) - start
            if length > MAX_BYTES:
                raise _too_much(where, f"instructions of more than {MAX_BYTES:,} bytes")
            if code.name in ("REDUCE", "NEWOBJ"):
                given, called = stack.pop(), stack.pop()
                _refuse_foreign(called, where)
                tensors += called in TENSORS
                copies += called in VALUES and given != ()
                if tensors > MAX_TENSORS:
                    raise _too_much(where, f"more than {MAX_TENSORS:,} tensors")
                if copies * length > MAX_COPIED:
                    raise _too_much(where, "plain values that are copied over and over")
                stack.append(None)
            elif code.name in ("GLOBAL", "STACK_GLOBAL"):
                names = argument or " ".join(str(stack.pop(-2 + i)) for i in range(2))
                stack.append(names)
            elif code.name in ("BYTEARRAY8", "INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4"):
                raise _foreign(where, code.name)
            else:
                _step(code, argument, stack, memo)
    except WeightsError:
        raise
    except Exception as error:  # a damaged pickle trips over anything
        raise WeightsError(f"'{where}' is truncated or damaged; save or copy it again.") from error


def _step(
    code: pickletools.OpcodeInfo, argument: Any, stack: list[Any], memo: dict[Any, Any]
) -> None:
    """Apply an instruction to the stack, on which only names and empty tuples matter."""
    if code.name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(memo[argument])
    elif code.name in ("PUT", "BINPUT", "LONG_BINPUT"):
        memo[argument] = stack[-1]
    elif code.name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif code.name == "MARK":
        stack.append(_MARK)
    elif code.name == "EMPTY_TUPLE":
        stack.append(())
    elif code.name == "DUP":
        stack.append(stack[-1])
    else:
        if pickletools.markobject in code.stack_before:
            while stack.pop() is not _MARK:
                pass
            for kind in code.stack_before[: code.stack_before.index(pickletools.markobject)]:
                assert kind is not None
                stack.pop()
        else:
            for _ in code.stack_before:
                stack.pop()
        text = "UNICODE" in code.name or "STRING" in code.name
        stack.extend((argument if text else None) for _ in code.stack_after)


def _refuse_foreign(called: Any, where: str) -> None:
    if not isinstance(called, str) or called not in TENSORS | VALUES:
        raise _foreign(where, str(called or "a value").replace(" ", "."))


def _foreign(where: str, what: str) -> WeightsError:
    return WeightsError(
        f"'{where}' holds more than tensors ({what}), and loading that could run code or take any "
        "memory; PruneViz loads tensors only. Save it again with torch.save(model.state_dict(), "
        "path), or as safetensors."
    )


def _too_much(where: str, what: str) -> WeightsError:
    return WeightsError(
        f"'{where}' holds {what}, which weights do not have; save them again with "
        "torch.save(model.state_dict(), path)."
    )
