"""Forward hooks that see the passes of one thread.

A network may run in several threads at once, and a hook on a module is called in all of them. One
that calls torch there adds to the calls of somebody else's pass, which is followed call by call
(`torch_calls`), and gets feature maps of somebody else's images.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

Hook = Callable[..., Any]


def in_this_thread(hook: Hook) -> Hook:
    """Return the hook, which does nothing in threads other than the one that asks for it."""
    own = threading.get_ident()

    def called(*given: Any) -> Any:
        return hook(*given) if threading.get_ident() == own else None

    return called
