"""The machine: its cores, and how records describe it and the commit that ran."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

PACKAGE = Path(__file__).parent


def cores() -> int:
    """Return how many threads of this process can run side by side."""
    known = getattr(os, "sched_getaffinity", None)
    return len(known(0)) if known is not None else os.cpu_count() or 1


def described() -> str:
    """Describe the machine without naming it: `x86_64 CPU, 2 thread(s), torch 2.14.0`."""
    import torch

    threads = torch.get_num_threads()
    return f"{platform.machine()} CPU, {threads} thread(s), torch {torch.__version__}"


def commit(*decides: str) -> str:
    """Return the commit of the running checkout, with a + where its files were changed.

    Args:
        decides: The files and folders of the package whose changes count.
    """
    number = _git("rev-parse", "--short", "HEAD")
    if not number:
        return "not in a repository"
    changed = decides and _git("status", "--porcelain", "--untracked-files=no", "--", *decides)
    return number + ("+" if changed else "")


def _git(*arguments: str) -> str:
    try:
        answer = subprocess.run(
            ["git", *arguments], cwd=PACKAGE, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()
