"""Small files that ask for much."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import torch


def png(width: int, height: int, *, depth: int = 8, colours: int = 0) -> bytes:
    """A black PNG of any size, made row by row; colours 0 is grey, 2 is RGB, 6 is RGBA."""
    samples = {0: 1, 2: 3, 6: 4}[colours]
    row = bytes(1 + width * samples * depth // 8)
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()

    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def torch_zip(path: Path, instructions: bytes) -> Path:
    """A file as torch.save writes it, with any pickle in it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", instructions)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return path


def bytes_of_nothing(path: Path) -> Path:
    """33 bytes that make a bytearray of six billion."""
    path.write_bytes(b"\x80\x02c__builtin__\nbytearray\n\x8a\x05\x00\xbc\xa0\x65\x01\x85R.")
    return path


def bytes_of_nothing_in_a_zip(path: Path) -> Path:
    """The same in today's format."""
    return torch_zip(path, b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\xbc\xa0\x65\x01\x85R.")


def copies(path: Path, maker: bytes) -> Path:
    """A list of 100,000 items, of which 10,000 copies are made by something that torch allows."""
    items = b"(" + b"".join(b"K\x01K\x02\x86" for _ in range(100_000)) + b"l"
    instructions = b"\x80\x02](" + maker + b"q\x00" + items + b"q\x010"
    instructions += b"h\x00h\x01\x85R" * 10_000 + b"e."
    return torch_zip(path, instructions)


def ordered_copies(path: Path) -> Path:
    """Copies by OrderedDict."""
    return copies(path, b"ccollections\nOrderedDict\n")


def counted_copies(path: Path) -> Path:
    """Copies by Counter, which learning rate schedules hold."""
    return copies(path, b"ccollections\nCounter\n")


def repeated(path: Path) -> Path:
    """A classifier of ten million rows that are one number."""
    from pruneviz.catalog import load_model

    state = OrderedDict(load_model("resnet20").state_dict())
    last = list(state)[-2]
    state[last] = torch.zeros(1).expand(10_000_000, state[last].shape[1])
    state[list(state)[-1]] = torch.zeros(1).expand(10_000_000)
    torch.save(state, path)
    return path


def narrow(path: Path) -> Path:
    """A classifier that reads one channel and tells ten million classes apart: 40 MB, all there."""
    from pruneviz.catalog import load_model

    state = OrderedDict(load_model("resnet20").state_dict())
    state[list(state)[-2]] = torch.zeros(10_000_000, 1)
    torch.save(state, path)
    return path


def many_tensors(path: Path) -> Path:
    """A million tensors of one byte each."""
    entries = {
        f"t{i}": {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i in range(1_000_000)
    }
    head = json.dumps(entries, separators=(",", ":")).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(1_000_000))
    return path


def lying_zip(path: Path) -> Path:
    """A zip whose members say that they have 100 bytes, and unpack to a gigabyte."""
    packer = zlib.compressobj(9, wbits=-15)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(1024)) + packer.flush()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for split in ("train", "val"):
            for name in ("a", "b"):
                for number in range(12):
                    info = zipfile.ZipInfo(f"{split}/{name}/{number}.png")
                    archive.writestr(info, packed if number == 0 else png(8, 8))
    content = buffer.getvalue()
    # The members were stored; say that what is there is deflated from 100 bytes.
    for signature, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = 0
        while (start := content.find(signature, start)) >= 0:
            sizes = start + at + 10
            found = struct.unpack_from("<II", content, sizes)
            if found == (len(packed), len(packed)):
                changed = struct.pack("<H", 8) + content[start + at + 2 : sizes + 4]
                content = (
                    content[: start + at] + changed + struct.pack("<I", 100) + content[sizes + 8 :]
                )
            start += 4
    path.write_bytes(content)
    return path


WEIGHTS: dict[str, Callable[[Path], Path]] = {
    maker.__name__: maker
    for maker in (
        bytes_of_nothing,
        bytes_of_nothing_in_a_zip,
        ordered_copies,
        counted_copies,
        repeated,
        narrow,
        many_tensors,
    )
}
