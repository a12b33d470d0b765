"""What tests of pages share."""

from __future__ import annotations

from typing import Any

from streamlit.testing.v1 import AppTest


def texts(page: AppTest) -> str:
    """Return all that a page says, narrow spaces made plain."""
    parts: list[Any] = [*page.title, *page.subheader, *page.markdown, *page.caption, *page.info]
    parts += [*page.warning, *page.error, *page.success]
    said = [str(p.value) for p in parts] + [str(h.proto.body) for h in page.get("html")]
    return "\n".join(said).replace("\N{NARROW NO-BREAK SPACE}", " ")


def sound(page: AppTest) -> AppTest:
    """Fail if the page shows an exception or an error."""
    assert not page.exception, [e.message for e in page.exception]
    assert not page.error, [e.value for e in page.error]
    return page


def find(page: AppTest, key: str, kind: str = "slider") -> Any:
    """Return the control that goes by that name now (see `state.control`)."""
    return getattr(page, kind)(key=page.session_state["controls"][key].key)


def move(page: AppTest, key: str, value: Any, kind: str = "slider") -> AppTest:
    """Move a control; only its fragment is drawn then, so the page is drawn once more."""
    find(page, key, kind).set_value(value).run()
    return sound(page.run())
