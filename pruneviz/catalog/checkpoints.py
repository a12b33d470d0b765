"""Weights files: read without running code, and fitted to a network or refused with the reason.

A file is either safetensors or what `torch.save` writes; the latter is a pickle and is only ever
opened with `weights_only=True`. Which of the two it is decides its content, not its suffix.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from pruneviz.catalog import pickles
from pruneviz.errors import WeightsError, shown

State = Mapping[str, torch.Tensor]

WRAPPERS = ("state_dict", "model", "model_state_dict", "net", "weights", "params")
"""Keys under which training scripts put the weights, beside optimiser, epoch and the like."""

PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and Lightning put before every name."""

MAX_HEADER = 4 * 2**20
"""Bytes of a safetensors header at most; that of ResNet-152 has 0.1 MiB."""

MAGIC = 0x1950A86A20F9469CFC6C
"""With which the files begin that torch wrote before version 1.6: a pickle of that number."""


def read_weights(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """The tensors of a weights file by name, on the CPU, without wrapper and prefix.

    Reads safetensors and `torch.save` files (`.pt`, `.pth`), the latter with `weights_only=True`.
    Raises `WeightsError` where the file is missing, empty, truncated, no weights file, wants to
    run code, or holds no tensors.
    """
    try:
        path = Path(path).expanduser()
        is_folder, is_there = path.is_dir(), path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long, no such home, a NUL
        raise WeightsError(
            f"The weights file {shown(os.fspath(path))} cannot be read ({error}); give the path "
            "of a .safetensors, .pt or .pth file."
        ) from error
    if is_folder:
        raise WeightsError(f"'{path}' is a folder; give the path of one weights file in it.")
    if not is_there:
        raise WeightsError(
            f"There is no weights file '{path}'; give the path of a .safetensors, .pt or .pth file."
        )
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise WeightsError(
            f"The weights file '{path}' cannot be read: {error.strerror}."
        ) from error
    if not head:
        raise WeightsError(f"The weights file '{path}' is empty; save or copy it again.")
    if head[8:9] == b"{" or path.suffix == ".safetensors":
        return unwrap(_read_safetensors(path), path.name)
    if head.startswith(b"PK"):
        _check_archive(path)
    elif head.startswith(b"\x80"):
        _check_old_format(path)
    else:
        raise _not_weights(path)
    return unwrap(_read_torch(path), path.name)


def _read_safetensors(path: Path) -> object:
    try:
        with path.open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if MAX_HEADER < header < path.stat().st_size:
            raise WeightsError(
                f"'{path.name}' lists its tensors in {header:,} bytes, more than the "
                f"{MAX_HEADER:,} that are read; networks have far fewer tensors."
            )
        return safetensors.torch.load_file(path)
    except WeightsError:
        raise
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise WeightsError(
            f"'{path.name}' is not a complete safetensors file ({str(error).strip('. ')}); "
            "save or copy it again."
        ) from error


def _read_torch(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises nearly anything on a damaged file
        if isinstance(error, pickle.UnpicklingError) or "subdirectory" in str(error):
            raise _not_weights(path) from error
        raise _damaged(path) from error


def _not_weights(path: Path) -> WeightsError:
    return WeightsError(
        f"'{path.name}' is not a weights file; give one written by torch.save or safetensors."
    )


def _check_archive(path: Path) -> None:
    """Refuse a zip that is not torch's, or would take more memory than it is long."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            unpacked = sum(member.file_size for member in members)
            if unpacked > path.stat().st_size:  # torch.save does not compress
                raise WeightsError(
                    f"'{path.name}' would unpack to {unpacked:,} bytes, more than its size; "
                    "weights are not stored like that. Save them again with torch.save."
                )
            names = {member.filename.partition("/")[2]: member.filename for member in members}
            if "constants.pkl" in names:
                raise WeightsError(
                    f"'{path.name}' is a TorchScript program, not weights; save the weights with "
                    "torch.save(model.state_dict(), path)."
                )
            if "data.pkl" not in names:
                raise _not_weights(path)
            pickles.check(io.BytesIO(archive.read(names["data.pkl"])), path.name)
    except (zipfile.BadZipFile, OSError, RuntimeError, ValueError, EOFError, zlib.error) as error:
        if isinstance(error, WeightsError):
            raise
        raise _damaged(path) from error


def _check_old_format(path: Path) -> None:
    """Refuse a pickle that is not torch's, or that would do more than to build tensors.

    Torch's file of old holds five: a number, a version, the system, the tensors, their storages.
    """
    try:
        with path.open("rb") as file:
            first = file.read(64)
            magic = next(a for code, a, _ in pickletools.genops(first) if "LONG" in code.name)
            if magic != MAGIC:
                raise _not_weights(path)
            file.seek(0)
            pickles.check(file, path.name, 5)
    except StopIteration:
        raise _not_weights(path) from None
    except ValueError as error:  # from pickletools, on an instruction that there is not
        if isinstance(error, WeightsError):
            raise
        raise _damaged(path) from error


def _damaged(path: Path) -> WeightsError:
    return WeightsError(f"'{path.name}' is truncated or damaged; save or copy it again.")


def unwrap(loaded: object, where: str) -> dict[str, torch.Tensor]:
    """The plain state dict in what a weights file holds: no wrapper, no common prefix.

    Raises `WeightsError` where there are no named tensors in it.
    """
    for _ in range(len(WRAPPERS)):
        inner = (
            next(
                (loaded[w] for w in WRAPPERS if isinstance(loaded.get(w), Mapping) and loaded[w]),
                None,
            )
            if isinstance(loaded, Mapping)
            else None
        )
        if inner is None:
            break
        loaded = inner
    named = loaded.items() if isinstance(loaded, Mapping) else ()
    state = {str(k): v for k, v in named if isinstance(v, torch.Tensor)}
    _refuse_expanded(state, where)
    if not state:
        raise WeightsError(
            f"'{where}' holds no named tensors; save the weights with "
            "torch.save(model.state_dict(), path)."
        )
    stripped = True
    while stripped:
        stripped = False
        for prefix in PREFIXES:
            if all(key.startswith(prefix) for key in state):
                state = {key.removeprefix(prefix): value for key, value in state.items()}
                stripped = True
    return state


def _refuse_expanded(state: State, where: str) -> None:
    """Refuse tensors without numbers, and those that repeat few numbers to look like many."""
    for key, tensor in state.items():
        if tensor.is_meta:
            raise WeightsError(
                f"'{where}' holds {key} without its numbers (a meta tensor); save the weights "
                "from a network that has them."
            )
        if tensor.layout != torch.strided or tensor.is_quantized:
            continue  # `load_into` says what is wrong with them, if they are wanted at all
        if tensor.nbytes > tensor.untyped_storage().nbytes():
            raise WeightsError(
                f"'{where}' holds {key} as {_shape(tensor)} repeated from fewer numbers; save it "
                "as it is: tensor.contiguous()."
            )


def load_into(model: nn.Module, state: State, *, network: str, where: str) -> None:
    """Put `state` into `model`; all floating-point values become float32.

    Raises `WeightsError` naming the tensors that are missing, left over, of another shape, not
    dense numbers, or not finite, and variances below zero.
    """
    expected = model.state_dict()
    counters = {key for key in expected if key.endswith("num_batches_tracked")}
    missing = [key for key in expected if key not in state and key not in counters]
    unexpected = [
        key for key in state if key not in expected and not key.endswith("num_batches_tracked")
    ]
    if len(missing) == len(expected) - len(counters):
        raise WeightsError(
            f"'{where}' holds the weights of another architecture: none of its tensors "
            f"({_some(list(state))}) is called as in {network} ({_some(missing)}). "
            "Choose the architecture that they were trained with."
        )
    shapes = [
        f"{key} is {_shape(expected[key])} in {network} and {_shape(state[key])} in the file"
        for key in expected
        if key in state and expected[key].shape != state[key].shape
    ]
    problems = []
    if missing:
        problems.append(f"it lacks {_some(missing)}")
    if unexpected:
        problems.append(f"{network} has no {_some(unexpected)}")
    if shapes:
        problems.append(_some(shapes, "; "))
    if problems:
        remedy = "Choose the architecture that the weights were trained with."
        if len(problems) == len(shapes[:1]) and _is_smaller(state, expected):
            remedy = "They look pruned: prune the network by their plan first, then load them."
        raise WeightsError(f"'{where}' does not fit {network}: {'; '.join(problems)}. {remedy}")
    fitted: OrderedDict[str, torch.Tensor] = OrderedDict()
    for key, tensor in expected.items():
        value = state.get(key)
        fitted[key] = (
            torch.zeros(tensor.shape, dtype=tensor.dtype)
            if value is None
            else _dense(key, value, tensor.dtype, where)
        )
    _refuse_not_finite(fitted, where)
    _refuse_negative_variances(fitted, where)
    # torchvision's MNASNet and batch norm ask for the version that wrote a state dict, which no
    # plain dict of tensors carries; the shapes were compared, so it is the model's own.
    fitted._metadata = expected._metadata  # type: ignore[attr-defined]
    model.load_state_dict(fitted)


def _is_smaller(state: State, expected: State) -> bool:
    """Whether every tensor has the expected number of axes, none longer."""
    return all(
        state[key].ndim == tensor.ndim
        and all(a <= b for a, b in zip(state[key].shape, tensor.shape, strict=True))
        for key, tensor in expected.items()
        if key in state
    )


def _dense(key: str, value: torch.Tensor, dtype: torch.dtype, where: str) -> torch.Tensor:
    dense = value.layout == torch.strided and not value.is_quantized and not value.is_complex()
    if not dense or (dtype.is_floating_point and not value.is_floating_point()):
        raise WeightsError(
            f"'{where}' holds {key} as {value.dtype}, {value.layout}; PruneViz reads dense "
            "floating-point weights. Dequantise the network and save it again."
        )
    return value.to(dtype)


def _refuse_not_finite(state: State, where: str) -> None:
    bad = [
        key
        for key, value in state.items()
        if value.is_floating_point() and not bool(torch.isfinite(value).all())
    ]
    if bad:
        raise WeightsError(
            f"'{where}' holds values that are not finite (NaN or infinity) in {_some(bad)}; "
            "take a checkpoint from before the training diverged."
        )


def _refuse_negative_variances(state: State, where: str) -> None:
    bad = [key for key in state if key.endswith("running_var") and bool((state[key] < 0).any())]
    if bad:
        raise WeightsError(
            f"'{where}' holds variances below zero in {_some(bad)}, of which batch norm takes the "
            "root; the file is damaged, so save or copy it again."
        )


def _some(items: Sequence[str], separator: str = ", ", most: int = 3) -> str:
    more = len(items) - most
    return separator.join(items[:most]) + (f" and {more} more" if more > 0 else "")


def _shape(tensor: torch.Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "one number"
