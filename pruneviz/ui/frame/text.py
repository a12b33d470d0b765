"""Names from elsewhere, as they are: no Markdown, no links, no HTML in what a page shows.

Run names, file and class names, plans' labels, addresses and the errors that quote them may hold
anything. `plain` takes the meaning out of them where Streamlit would read Markdown; `harmless`
does so with all texts of a figure, where Plotly would read HTML.
"""

from __future__ import annotations

import re
from typing import Any

_MARKDOWN = re.compile(r"([\\`*\[\]<>$~])")
_TAG = re.compile(r"<(?!/?(?:b|i|br|sup|sub|extra)\s*/?>)")
"""What opens a tag that PruneViz's figures do not use themselves."""


def plain(text: object) -> str:
    """Return a text as Markdown that shows it as it is."""
    return _MARKDOWN.sub(r"\\\1", str(text))


def has_links(value: Any) -> bool:
    """Whether a text in the parts of a figure has a link or a foreign tag."""
    if isinstance(value, str):
        return _TAG.search(value) is not None
    if isinstance(value, dict):
        return any(has_links(part) for part in value.values())
    return isinstance(value, list | tuple) and any(has_links(part) for part in value)


def harmless(value: Any) -> Any:
    """Return the parts of a figure with every text freed of links and foreign tags."""
    if isinstance(value, str):
        return _TAG.sub("&lt;", value)
    if isinstance(value, dict):
        return {key: harmless(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(harmless(part) for part in value)
    return value
