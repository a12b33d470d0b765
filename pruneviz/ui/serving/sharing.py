"""How one studio is shared: the settings that its command, or Streamlit's configuration, gives."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path

from pruneviz.errors import InvalidValueError
from pruneviz.jobs.gate import Limits
from pruneviz.ui.serving import hosts

TOKEN, PASSWORD = "PRUNEVIZ_TOKEN", "PRUNEVIZ_PASSWORD"
SHARED_LIMITS = Limits(runs=4, disk=4 * 2**30)
"""What a visitor of a shared studio may have, unless its owner says otherwise."""


def _random() -> str:
    return secrets.token_hex(24)


@dataclass(frozen=True)
class Sharing:
    """Who may come in, what they may read, and how much they may have.

    `names` are further host names under which the studio is reached, such as a reverse proxy's.
    """

    host: str = hosts.LOOPBACK
    names: frozenset[str] = frozenset()
    password: str | None = field(default=None, repr=False)
    """What visitors type instead of the visitors' token."""
    token: str = field(default_factory=_random, repr=False)
    """The owner's: whoever has it may change everybody's runs."""
    visitors_token: str = field(default_factory=_random, repr=False)
    data_root: Path | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def shared(self) -> bool:
        """Whether others than this machine's user may come in."""
        return not hosts.is_local(self.host) or bool(self.names) or self.password is not None

    @property
    def answers_to(self) -> frozenset[str]:
        """The host names that are the studio's own."""
        return self.names | hosts.own_names() | {self.host.lower()}

    @property
    def visitors_secret(self) -> str:
        """What lets a visitor in."""
        return self.visitors_token if self.password is None else self.password


def sharing(
    host: str,
    *,
    names: tuple[str, ...] = (),
    password: str | None = None,
    data_root: str | os.PathLike[str] | None = None,
    limits: Limits | None = None,
) -> Sharing:
    """Return the settings of a studio that listens on `host`.

    `$PRUNEVIZ_TOKEN` keeps the owner's token over restarts; `$PRUNEVIZ_PASSWORD` gives a password
    that no list of processes shows.

    Raises:
        InvalidValueError: an empty password, or a `data_root` that is no folder.
    """
    password = os.environ.get(PASSWORD) if password is None else password
    if password is not None and not password.strip():
        raise InvalidValueError("A password must not be empty; type one after --password.")
    root = None
    if data_root is not None:
        root = Path(data_root).expanduser().resolve()
        if not root.is_dir():
            raise InvalidValueError(
                f"--data-root must name a folder that visitors may read, but got '{data_root}'."
            )
    made = Sharing(
        host=host,
        names=frozenset(name.lower().rstrip(".") for name in names),
        password=password,
        token=os.environ.get(TOKEN) or _random(),
        data_root=root,
    )
    given = limits or Limits()
    usual = SHARED_LIMITS if made.shared else Limits()
    return replace(made, limits=given.or_else(usual))


_current: list[Sharing] = []


def take_up(settings: Sharing) -> None:
    """Make these the settings of this process's studio."""
    _current[:] = [settings]


def take_up_configured() -> None:
    """Take up what Streamlit was configured with, unless the command gave settings before."""
    from streamlit import config

    if not _current:
        take_up(sharing(config.get_option("server.address") or "0.0.0.0"))


def current() -> Sharing:
    """Return the settings of this process's studio; a local one's where nothing is served."""
    return _current[0] if _current else _LOCAL


_LOCAL = Sharing()
