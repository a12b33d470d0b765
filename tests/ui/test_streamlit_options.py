"""The options of Streamlit that the studio sets: each is one that the installed Streamlit knows."""

from __future__ import annotations

import tomllib
from pathlib import Path

from streamlit import config

OPTIONS = Path(__file__).resolve().parents[2] / ".streamlit" / "config.toml"


def test_every_option_is_known() -> None:
    read = tomllib.loads(OPTIONS.read_text(encoding="utf-8"))
    flat = {
        f"{section}.{name}"
        for section, values in read.items()
        for name, value in values.items()
        if not isinstance(value, dict)
    }
    assert flat <= set(config.get_config_options())


def test_no_message_is_named_by_a_hash_that_the_browser_may_have_forgotten() -> None:
    read = tomllib.loads(OPTIONS.read_text(encoding="utf-8"))
    assert int(read["global"]["minCachedMessageSize"]) > 2**31, "the largest that can be sent"
