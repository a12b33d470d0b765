"""Who may come in: secrets and the cookies that remember them. Knows no HTTP beyond cookies."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pruneviz.jobs.gate import Visitor
from pruneviz.ui.serving.sharing import Sharing

Role = Literal["owner", "visitor"]
VISITOR_COOKIE = "pruneviz-visitor"
TRIES, PAUSE_SECONDS = 10, 60.0


@dataclass(frozen=True)
class Access:
    """The door of one studio.

    A cookie is kept for each port, as browsers do not tell the ports of a host apart.
    """

    sharing: Sharing
    port: int

    @property
    def cookie(self) -> str:
        """What the cookie is called that remembers who came in."""
        return f"pruneviz-access-{self.port}"

    def role_for(self, secret: str) -> Role | None:
        """Return what a token or password makes of whoever gives it."""
        if _same(secret, self.sharing.token):
            return "owner"
        return "visitor" if _same(secret, self.sharing.visitors_secret) else None

    def pass_for(self, role: Role) -> str:
        """Return the cookie's value: only who knew the secret has it, and it does not tell it."""
        secret = self.sharing.token if role == "owner" else self.sharing.visitors_secret
        return hmac.digest(secret.encode(), f"pruneviz {role}".encode(), "sha256").hex()

    def role(self, cookies: Mapping[str, str]) -> Role | None:
        """Return what the cookies of a request make of whoever sends it."""
        if not self.sharing.shared:
            return "owner"
        shown = cookies.get(self.cookie, "")
        roles: tuple[Role, ...] = ("owner", "visitor")
        return next((r for r in roles if _same(shown, self.pass_for(r))), None)

    def visitor(self, cookies: Mapping[str, str]) -> Visitor:
        """Return who sends these cookies; the id is empty where there is no cookie yet."""
        known = cookies.get(VISITOR_COOKIE)
        known = known if isinstance(known, str) else ""  # Streamlit's AppTest has other cookies
        return Visitor(id_of(known) if known else "", self.role(cookies) == "owner")


def new_visitor() -> str:
    """Return a cookie's value for someone who comes for the first time."""
    return secrets.token_urlsafe(24)


def id_of(cookie: str) -> str:
    """Return the anonymous id that runs are recorded under; the cookie does not follow from it."""
    return hashlib.sha256(cookie.encode()).hexdigest()[:12]


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


class Patience:
    """Counts wrong secrets by address; after ten, an address has to wait for a minute."""

    def __init__(self) -> None:
        self._wrong: dict[str, tuple[int, float]] = {}

    def is_spent(self, address: str) -> bool:
        """Tell whether the address has to wait."""
        count, last = self._wrong.get(address, (0, 0.0))
        return count >= TRIES and time.monotonic() - last < PAUSE_SECONDS

    def was_wrong(self, address: str) -> None:
        """Count one wrong secret."""
        now = time.monotonic()
        known = {a: c for a, c in self._wrong.items() if now - c[1] < PAUSE_SECONDS}
        known[address] = (known.get(address, (0, now))[0] + 1, now)
        self._wrong = known

    def was_right(self, address: str) -> None:
        """Forget what was wrong before."""
        self._wrong.pop(address, None)
