"""Weights files: read without running code, or refused with the reason.

A file is either safetensors or what `torch.save` writes; the latter is a pickle and is only ever
opened with `weights_only=True`. Its content, not its suffix, decides which of the two it is.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError

from pruneviz.catalog import pickles
from pruneviz.errors import WeightsError, shown

State = Mapping[str, torch.Tensor]

WRAPPERS = ("state_dict", "model", "model_state_dict", "net", "weights", "params")
"""Keys under which training scripts put the weights, beside optimiser, epoch and the like."""

PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and Lightning put before every name."""

MAX_HEADER = 4 * 2**20
"""The most bytes of a safetensors header; that of ResNet-152 has 0.1 MiB."""

MAGIC = 0x1950A86A20F9469CFC6C
"""Files that torch wrote before version 1.6 begin with a pickle of this number."""


def read_weights(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """The tensors of a weights file by name, on the CPU, without wrapper and prefix.

    Reads safetensors and `torch.save` files (`.pt`, `.pth`), the latter with `weights_only=True`.
    Raises `WeightsError` if the file is missing, empty, truncated, not a weights file, holds no
    tensors, or would run code.
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
    """Refuse a zip that torch did not write, or that would take more memory than its size."""
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
    """Refuse a pickle that torch did not write, or that would do more than build tensors.

    Torch's old format has five pickles: a number, a version, the system, tensors, storages.
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
    """The plain state dict in the content of a weights file, without wrapper and common prefix.

    Raises `WeightsError` if there are no named tensors in it.
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
    """Refuse tensors without values, and those that repeat few values to look like many."""
    for key, tensor in state.items():
        if tensor.is_meta:
            raise WeightsError(
                f"'{where}' holds {key} without its numbers (a meta tensor); save the weights "
                "from a network that has them."
            )
        if tensor.layout != torch.strided or tensor.is_quantized:
            continue  # `fitting.load_into` says what is wrong with them, if they are wanted at all
        if tensor.nbytes > tensor.untyped_storage().nbytes():
            raise WeightsError(
                f"'{where}' holds {key} as {dims(tensor)} repeated from fewer numbers; save it "
                "as it is: tensor.contiguous()."
            )


def dims(tensor: torch.Tensor) -> str:
    """Write a tensor's shape as people read it: 64×3×3×3."""
    return "×".join(map(str, tensor.shape)) or "one number"
