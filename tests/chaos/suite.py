"""The scenarios in turn, until the time or the rounds are used up."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.chaos import crowd, kills, storage, work
from tests.chaos.figures import Tally


def short(folder: Path, seed: int = 0) -> Tally:
    """The form for every day: one kill, a lock of two seconds, twenty visitors for three."""
    tally, root = Tally(), work.images(folder / "images")
    peace = kills.references(["fine_tune"], folder / "peace", root, 3)
    dice = random.Random(seed)
    tally.add(
        kills.kill_at_random(
            "fine_tune", "worker", folder / "killed", root, 3, peace["fine_tune"], dice
        )
    )
    tally.add(storage.locked(folder / "locked", root, 3, seconds=2.0))
    tally.add(crowd.visitors(folder / "crowd", 3.0, seed))
    return tally


def whole(
    folder: Path,
    *,
    seconds: float,
    rounds: int | None,
    seed: int,
    kinds: Sequence[str],
    say: Callable[[str], None],
) -> Tally:
    """All scenarios once, and kills at random moments for the rest of the time."""
    end = time.monotonic() + seconds
    tally, dice, epochs = Tally(), random.Random(seed), 4
    root = work.images(folder / "images")

    def take(name: str, part: Tally) -> None:
        tally.add(part)
        say(f"{name}: {part.ended} of {part.tried} ended, {'sound' if part.sound else 'NOT SOUND'}")

    take("twenty visitors", crowd.visitors(folder / "crowd", min(20.0, seconds / 8), seed))
    take("two servers", crowd.two_servers(folder / "two", 8))
    take("records locked", storage.locked(folder / "locked", root, epochs, min(60, seconds / 5)))
    take("disk full", disk_full(folder / "full", root, epochs, say))
    peace = kills.references(kinds, folder / "peace", root, epochs)
    number = 0
    while number < (rounds or 10**9) and (rounds or time.monotonic() < end):
        for kind in kinds:
            victim = kills.VICTIMS[number % len(kills.VICTIMS)]
            home = folder / f"killed-{number}"
            part = kills.kill_at_random(kind, victim, home, root, epochs, peace[kind], dice)
            take(f"round {number + 1}: {kind}, {victim} killed", part)
            number += 1
            if not rounds and time.monotonic() > end:
                break
    return tally


def disk_full(home: Path, root: Path, epochs: int, say: Callable[[str], None]) -> Tally:
    """Fill a small disk, where the system lets one be made."""
    home.mkdir()
    done = storage.on_a_small_disk([str(home), str(root), str(epochs)])
    if done is None:
        say("disk full: skipped, this system lets no small disk be made")
        return Tally()
    if done.returncode:
        return Tally(tried=1, others=[f"disk full: {done.stderr[-3000:]}"])
    return Tally(**json.loads(done.stdout.splitlines()[-1]))
