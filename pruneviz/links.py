"""A choice of units as short text that fits into an address.

Each group's choice is one of C(width, count) subsets and is written as the number of that subset
in the combinatorial number system (Lehmer 1964); no code is shorter for a random choice. The
numbers of all groups make one number in mixed radix, written in base64url.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from math import comb


def encode(widths: Sequence[int], choices: Sequence[Sequence[int]]) -> bytes:
    """Write the indices chosen in each group, ascending, as bytes."""
    number = 0
    for width, chosen in zip(reversed(widths), reversed(choices), strict=True):
        number = number * comb(width, len(chosen)) + _rank(chosen)
        number = number * (width + 1) + len(chosen)
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def decode(widths: Sequence[int], content: bytes) -> list[list[int]]:
    """Read what `encode` wrote for groups of these widths; a `ValueError` for other bytes."""
    number = int.from_bytes(content, "big")
    choices = []
    for width in widths:
        number, count = divmod(number, width + 1)
        number, rank = divmod(number, comb(width, count))
        choices.append(_unrank(width, count, rank))
    if number:
        raise ValueError("more groups than the network has")
    return choices


def to_text(content: bytes) -> str:
    """Write bytes in characters that an address leaves as they are."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def from_text(text: str) -> bytes:
    """Read what `to_text` wrote; a `ValueError` for other text."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _rank(chosen: Sequence[int]) -> int:
    return sum(comb(index, place + 1) for place, index in enumerate(chosen))


def _unrank(width: int, count: int, rank: int) -> list[int]:
    """Find the subset of that number, from its largest index down."""
    subset: list[int] = []
    index, ways = width, comb(width, count)
    while count:
        # from C(index, count) to C(index - 1, count), without recomputing it
        below = ways * (index - count) // index
        index -= 1
        if rank >= below:
            rank -= below
            subset.append(index)
            ways -= below
            count -= 1
        else:
            ways = below
    return subset[::-1]
