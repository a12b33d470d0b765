"""A network from a function in somebody's own Python file: import the file, call the function."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from pruneviz.errors import InvalidValueError, shown


def build(file: Path, factory: str, digest: str, num_classes: int | None = None) -> nn.Module:
    """Call the function `factory` of a file and return its network.

    Args:
        file: The Python file.
        factory: The function's name; it gets `num_classes` if it has that parameter.
        digest: Of the file's content; each content is imported once.
        num_classes: By default, as the function decides.

    Raises:
        InvalidValueError: The file cannot be imported, or the function does not work.
    """
    function = _factory(file, factory, digest)
    takes = num_classes is not None and "num_classes" in inspect.signature(function).parameters
    try:
        model = function(num_classes=num_classes) if takes else function()
    except Exception as error:
        raise _failed(f"'{factory}' of '{file.name}' failed", error) from error
    if not isinstance(model, nn.Module):
        raise InvalidValueError(
            f"'{factory}' must return a torch.nn.Module, but returned {shown(model)}; return the "
            "network itself."
        )
    return model


@lru_cache(maxsize=4)
def _factory(file: Path, name: str, digest: str) -> Callable[..., Any]:
    module = _module(file, digest)
    factory = getattr(module, name, None)
    if not callable(factory):
        functions = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise InvalidValueError(
            f"'{file.name}' has no function '{name}'; it has: {', '.join(functions) or 'none'}."
        )
    return factory  # type: ignore[no-any-return]


def _module(file: Path, digest: str) -> ModuleType:
    """Import the file; it can import its neighbours, as when it is run as a script."""
    name = f"pruneviz_own_{digest[:12]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise InvalidValueError(f"'{file}' is no Python file; its name must end in .py.")
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # classes find their module when they are copied or pickled
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _failed(f"'{file.name}' cannot be imported", error) from error
    return module


def _failed(what: str, error: Exception) -> InvalidValueError:
    return InvalidValueError(
        f"{what} ({type(error).__name__}: {error}); it is called without arguments and must work "
        "in a separate process."
    )
