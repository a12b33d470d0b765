"""Weights files: damaged, hostile, of other networks."""

from __future__ import annotations

import io
import pickle
import random
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

import pruneviz as pv
from tests.catalog.hostile import makers
from tests.fuzz.trials import Trial

State = dict[str, torch.Tensor]


def _odd_tensor(rng: random.Random, tensor: torch.Tensor) -> Any:
    """A tensor that is not what it should be."""
    ways: list[Callable[[], Any]] = [
        lambda: tensor.to(torch.float16), lambda: tensor.to(torch.complex64), lambda: None,
        lambda: tensor.double() * 1e300, lambda: tensor * float("nan"), lambda: tensor - 5,
        lambda: tensor.to("meta"), lambda: tensor[None], lambda: torch.zeros(0), lambda: 3,
        lambda: torch.zeros(()).expand(10**6, 10**6), lambda: tensor.flatten().to_sparse(),
        lambda: tensor.bool(), lambda: "text", lambda: {"weight": tensor}, lambda: [tensor],
        lambda: torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8),
        lambda: tensor.to(torch.float8_e5m2), lambda: torch.nn.Parameter(tensor.float()),
    ]  # fmt: skip
    return rng.choice(ways)()


def _file(rng: random.Random, state: dict[str, Any], path: Path) -> Path:
    old = rng.random() < 0.3
    torch.save(state, path, _use_new_zipfile_serialization=not old)
    return path


def _damage(rng: random.Random, content: bytes) -> bytes:
    at = rng.randrange(len(content))
    way = rng.randrange(4)
    if way == 0:
        return content[:at]
    if way == 1:
        return content[:at] + rng.randbytes(rng.randrange(1, 40)) + content[at + 20 :]
    if way == 2:  # near the beginning, where the structure is
        at = rng.randrange(min(2000, len(content)))
        return content[:at] + bytes([rng.randrange(256)]) + content[at + 1 :]
    return content[at:] + content[:at]


def _instructions(rng: random.Random) -> bytes:
    """A pickle of any instructions that torch's reader knows, after a beginning like torch's."""
    names = [
        b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n",
        b"ccollections\nOrderedDict\n", b"cbuiltins\nbytearray\n", b"ccollections\nCounter\n",
        b"cos\nsystem\n", b"c_codecs\nencode\n", b"ctorch\nSize\n", b"cbuiltins\nset\n",
    ]  # fmt: skip
    pieces = [
        *names, b")", b"]", b"}", b"(", b"t", b"R", b"Q", b"b", b"s", b"u", b"e", b"a", b"0",
        b"q\x00", b"h\x00", b"\x85", b"\x86", b"\x87", b"N", b"K\x07", b"J\xff\xff\xff\x7f",
        b"X\x01\x00\x00\x00a",
        b"\x8a\x05\x00\xbc\xa0\x65\x01", b"r\xff\xff\xff\x7f", b"G?\xe0\x00\x00\x00\x00\x00\x00",
        b"X\xff\xff\xff\x7f", b"\x8e\x00\x00\x00\x00\x01\x00\x00\x00", b"l", b"d", b"2", b"1",
        b"\x96\x00\x00\x00\x00\x01\x00\x00\x00", b"i\x00\n", b"\x81", b"\x92", b"P0\n",
    ]  # fmt: skip
    return b"\x80\x02" + b"".join(rng.choices(pieces, k=rng.randrange(1, 60))) + b"."


def trials(rng: random.Random, folder: Path) -> Iterator[Trial]:
    """A weights file of ResNet-20 with something wrong with it."""
    state: State = dict(pv.load_model("resnet20", "digits").state_dict())
    buffer = io.BytesIO()
    safetensors.torch.save_file(state, folder / "whole.safetensors")
    torch.save(state, buffer)
    whole = [buffer.getvalue(), (folder / "whole.safetensors").read_bytes()]
    buffer = io.BytesIO()
    torch.save(state, buffer, _use_new_zipfile_serialization=False)
    whole.append(buffer.getvalue())
    hostile = [make for name, make in makers.WEIGHTS.items() if name not in ("many_tensors",)]
    number = 0
    while True:
        number += 1
        path = folder / f"{number % 50}.pt"
        way = rng.randrange(6)
        if way == 0:
            key = rng.choice(list(state))
            _file(rng, {**state, key: _odd_tensor(rng, state[key])}, path)
            what = f"{key} is odd"
        elif way == 1:
            keys = rng.sample(list(state), rng.randrange(len(state)))
            _file(rng, {rng.choice(("", "module.", "x.")) + k: state[k] for k in keys}, path)
            what = f"{len(keys)} tensors"
        elif way in (2, 3):
            path.write_bytes(_damage(rng, rng.choice(whole)))
            what = "damaged"
        elif way == 4:
            instructions = _instructions(rng)
            if rng.random() < 0.5:
                makers.torch_zip(path, instructions)
            else:
                magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
                path.write_bytes(magic + pickle.dumps({}, 2) + instructions)
            what = f"instructions {instructions[:60]!r}"
        elif rng.random() < 0.05:
            make = rng.choice(hostile)
            make(path)
            what = make.__name__
        else:
            with zipfile.ZipFile(path, "w", rng.choice((0, 8, 12, 14))) as archive:
                for name in rng.sample(("a/data.pkl", "a/version", "a/data/0", "x", "../y"), 3):
                    archive.writestr(name, rng.randbytes(rng.randrange(2000)))
            what = "a zip of something"
        yield what, partial(pv.load_model, "resnet20", str(path))
