"""A cache bounded by bytes: what goes, what stays, who computes."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from pruneviz.session.byte_cache import ByteCache
from pruneviz.session.sizes import bytes_of


def test_the_least_recently_used_goes_until_the_rest_fits() -> None:
    cache: ByteCache[str, bytes] = ByteCache(10, len)
    for name in "abc":
        cache.put(name, b"123")
    assert cache.get("a") == b"123"  # used, so b is the oldest now
    cache.put("d", b"1234")
    assert [name for name, _ in cache.items()] == ["c", "a", "d"]
    assert cache.bytes == 10


def test_what_is_replaced_no_longer_counts() -> None:
    cache: ByteCache[str, bytes] = ByteCache(10, len)
    cache.put("a", b"12345678")
    cache.put("a", b"12")
    cache.put("b", b"12345678")
    assert cache.bytes == 10
    assert len(cache) == 2


def test_one_that_is_too_large_stays_alone() -> None:
    cache: ByteCache[str, bytes] = ByteCache(10, len)
    cache.put("a", b"1")
    cache.put("b", b"x" * 50)
    assert [name for name, _ in cache.items()] == ["b"]


def test_threads_that_ask_for_the_same_wait_for_one_computation() -> None:
    cache: ByteCache[str, int] = ByteCache(10, lambda _: 1)
    calls, answers = [], []

    def work() -> int:
        calls.append(1)
        time.sleep(0.1)
        return 42

    threads = [
        threading.Thread(target=lambda: answers.append(cache.compute("k", work))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (answers, len(calls)) == ([42] * 4, 1)


def test_an_error_is_not_kept() -> None:
    cache: ByteCache[str, int] = ByteCache(10, lambda _: 1)
    with pytest.raises(ZeroDivisionError):
        cache.compute("k", lambda: 1 // 0)
    assert cache.compute("k", lambda: 7) == 7


def test_a_model_counts_with_its_tensors_and_is_let_go() -> None:
    big = nn.Linear(100, 100)
    assert bytes_of(big) == 4 * (100 * 100 + 100)
    assert bytes_of((big.weight, big.weight.view(-1))) - bytes_of(()) == 4 * 100 * 100 + 16
    cache: ByteCache[str, nn.Module] = ByteCache(50_000, bytes_of)
    gone = weakref.ref(big)
    cache.put("first", big)
    del big
    cache.put("second", nn.Linear(100, 100))
    gc.collect()
    assert gone() is None


def test_arrays_inside_values_count_once() -> None:
    shared = np.zeros(1000)
    assert 8000 <= bytes_of({"a": shared, "b": [shared, torch.zeros(10)]}) < 9000
