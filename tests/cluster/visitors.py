"""Thirty visitors on one and on two studios: `python -m tests.cluster.visitors [VISITORS] [MOVES]`.

A visitor speaks Streamlit's protocol as its page does: opens a session at the page Prune (ResNet-20
on digits), waits until the page has been sent, then moves the slider of the whole network, waits
until the page has been sent again, thinks for 2 to 6 seconds, and moves it again. Nothing is drawn,
so a browser's own time is not in the figures. The studios share PostgreSQL; visitors come one every
half second, to each studio in turn.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.cluster.servers import Studio, own_postgres

SLIDER = "Pruning ratio, whole network"
PATIENCE = 120.0


@dataclass
class Times:
    """Seconds until a page had been sent."""

    opened: list[float] = field(default_factory=list)
    moved: list[float] = field(default_factory=list)
    unanswered: Counter[str] = field(default_factory=Counter)
    """What the page said instead, or the last messages before the patience ended."""


class UnansweredError(Exception):
    """A visitor waited in vain."""


async def visit(port: int, moves: int, dice: random.Random, times: Times) -> None:
    """One visitor; notes how long each page took."""
    address = f"ws://127.0.0.1:{port}/_stcore/stream"
    protocol = Subprotocol("streamlit")
    async with connect(
        address,
        subprotocols=[protocol],
        max_size=None,
        open_timeout=PATIENCE,
        ping_interval=None,  # as a browser, which does not leave a server that is slow
    ) as socket:
        begun = time.perf_counter()
        await _ask(socket)
        slider, rows = await _page(socket)
        times.opened.append(time.perf_counter() - begun)
        for number in range(moves):
            await asyncio.sleep(dice.uniform(2, 6))
            percent = dice.randrange(20, 45) + 25 * (number % 2)  # never where it was
            begun = time.perf_counter()
            await _ask(socket, slider, percent)
            slider, now = await _page(socket)
            times.moved.append(time.perf_counter() - begun)
            assert now != rows, "the widths follow the slider"
            rows = now


async def _ask(socket: Any, slider: str = "", percent: int = 0) -> None:
    """Have the page run, with the slider there if it is known."""
    message = BackMsg()
    state = message.rerun_script
    state.page_name = "prune"
    if slider:
        widget = state.widget_states.widgets.add()
        widget.id = slider
        widget.double_array_value.data.append(percent)
    await socket.send(message.SerializeToString())


async def _page(socket: Any) -> tuple[str, tuple[str, ...]]:
    """Read until the sliders have been drawn and the script has ended, not to run again at once.

    Returns the slider's id, and what the sliders of the groups say.
    """
    slider, rows, last = "", [], deque[str](maxlen=12)
    ended = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)
    deadline = time.monotonic() + PATIENCE
    while True:
        message = ForwardMsg()
        try:
            left = max(0.1, deadline - time.monotonic())
            message.ParseFromString(await asyncio.wait_for(socket.recv(), left))
        except TimeoutError:
            raise UnansweredError(", ".join(last)) from None
        element = message.delta.new_element
        kind = element.WhichOneof("type") or message.WhichOneof("type")
        last.append(str(kind))
        if kind in ("alert", "exception"):
            last.append(str(element)[:200])
        if element.WhichOneof("type") == "slider":
            if element.slider.label == SLIDER:
                slider = element.slider.id
            else:
                rows.append(element.slider.label)
        finished = message.WhichOneof("type") == "script_finished"
        if slider and finished and message.script_finished in ended:
            return slider, tuple(rows)


async def crowd(ports: list[int], visitors: int, moves: int) -> Times:
    """All visitors, one coming every half second."""
    times = Times()

    async def come(number: int) -> None:
        await asyncio.sleep(number / 2)
        try:
            await visit(ports[number % len(ports)], moves, random.Random(number), times)
        except (UnansweredError, ConnectionClosed) as error:
            times.unanswered[f"{type(error).__name__}: {error}"] += 1

    await asyncio.gather(*(come(number) for number in range(visitors)))
    return times


def told(what: str, seconds: list[float]) -> str:
    """Median and 95th percentile."""
    late = statistics.quantiles(seconds, n=20)[-1]
    return f"{what} {statistics.median(seconds):.2f} s, 95 % within {late:.2f} s"


def main(visitors: int = 30, moves: int = 5) -> None:
    """Print the figures for one and for two studios."""
    with own_postgres() as database:
        for count in (1, 2):
            with tempfile.TemporaryDirectory() as folder:
                address = database.make(f"records{count}")
                studios = [
                    Studio(Path(folder) / str(n), {"PRUNEVIZ_DATABASE": address})
                    for n in range(count)
                ]
                try:
                    for studio in studios:
                        studio.wait()
                    for studio in studios:  # what the first visitor alone waits for
                        asyncio.run(crowd([studio.port], 1, 1))
                    times = asyncio.run(crowd([s.port for s in studios], visitors, moves))
                    memory = sum(studio.memory() for studio in studios) / 2**20
                finally:
                    for studio in studios:
                        studio.close()
            print(
                f"{count} studios, {visitors} visitors: {told('page', times.opened)}; "
                f"{told('slider', times.moved)}; {memory:,.0f} MiB; load {os.getloadavg()[0]:.1f}; "
                f"{times.unanswered.total()} visitors unanswered"
            )
            print("\n".join(times.unanswered))


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3]))
