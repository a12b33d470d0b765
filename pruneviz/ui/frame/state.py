"""One visitor's session, the address that brings it back, and the controls that show it."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import streamlit as st

from pruneviz.errors import StorageError
from pruneviz.session.decisions import Subject
from pruneviz.session.opening import first_subject
from pruneviz.session.session import Session
from pruneviz.ui.frame import arrival, services, workbench
from pruneviz.ui.frame.text import plain

if TYPE_CHECKING:
    from pruneviz.session.history import History
    from pruneviz.session.workbench import PlanCost, Workbench

SESSION = "session"
ADDRESS = "at"
CONTROLS = "controls"
PAGE, VISIT = "page", "visit"
DRAWN = "drawn_step"


class _Benches:
    """Finds loaded subjects, and says on the page what it waits for."""

    def get(self, subject: Subject) -> Workbench:
        """Return the loaded subject."""
        return workbench.bench(subject)


def open_studio() -> None:
    """At the start of every run: load what the address names, if a person asked for that."""
    if SESSION not in st.session_state:
        st.session_state[SESSION] = Session(_Benches(), first_subject())
    asked = st.query_params.get(ADDRESS)
    if asked is None or asked == st.session_state.get("address") or not arrival.asked():
        return
    st.session_state.address = asked
    if asked in history().steps:
        session().go(asked)
        return
    kept = services.steps().load(asked)
    if kept is None:
        st.toast(
            f"The plan in this page's address ({plain(asked)}) is not stored here, so it was "
            "ignored.",
            duration="long",  # pages that take seconds are still in sight of it
        )
        return
    here = services.uploads().at_hand(kept.subject)
    session().adopt(kept if here == kept.subject else kept.about(here))


def begin_page() -> None:
    """Before a page is drawn whole: note with which step."""
    st.session_state[DRAWN] = history().current


def page_is_behind() -> bool:
    """Whether a part of the page has taken a step since the page was drawn whole."""
    now = history().current
    return bool(st.session_state.get(DRAWN, now) != now)


def close_studio() -> None:
    """At the end of every run: make the address say what is in hand, and keep it."""
    now = history()
    plain = now.subject == first_subject() and not now.can_undo
    address = None if plain else now.current
    if address == st.session_state.get("address") and address == st.query_params.get(ADDRESS):
        return
    if address is None:
        st.session_state.address = None
        st.query_params.pop(ADDRESS, None)
        return
    try:
        services.steps().save(now)
    except StorageError as error:  # the next run tries again
        raise type(error)(
            f"The plan's history is not saved yet, so keep this page open. {error}"
        ) from error
    st.session_state.address = address
    st.query_params[ADDRESS] = address


def hold_address() -> None:
    """Before a part of the page is drawn: keep the address that was given last.

    A part never navigates, but the browser may have asked for it before it was told the new
    address. If the part then draws the whole page anew, that former address must not be obeyed.
    """
    address = st.session_state.get("address")
    if address is None:
        st.query_params.pop(ADDRESS, None)
    elif st.query_params.get(ADDRESS) != address:
        st.query_params[ADDRESS] = address


def session() -> Session:
    """Return what the visitor works on."""
    value: Session = st.session_state[SESSION]
    return value


def history() -> History:
    """Return the history of the subject in hand."""
    return session().history


def in_hand() -> PlanCost:
    """Return the plan in hand and its cost; a ranking it still needs is waited for on the page."""
    now = session()
    if now.decisions.needs_ranking:
        workbench.ranking(now.workbench, now.decisions.criterion)
    return now.in_hand


def undo() -> None:
    """Go back one step."""
    session().undo()


def redo() -> None:
    """Go forward again."""
    session().redo()


def go(digest: str) -> None:
    """Go to any step of the history."""
    session().go(digest)


def choose(subject: Subject) -> None:
    """Take up another subject."""
    session().choose(services.uploads().at_hand(subject))


def enter(page: str) -> None:
    """At the start of every run of the whole app: note which page is drawn."""
    if st.session_state.get(PAGE) != page:
        st.session_state[PAGE] = page
        st.session_state[VISIT] = st.session_state.get(VISIT, 0) + 1


def while_here(callback: Callable[..., None]) -> Callable[..., None]:
    """Return the callback, which does nothing once the page it was drawn on has been left.

    A hand may move something in the moment in which another page is on its way. The browser then
    sends all controls of the former page, some as they were drawn first, and Streamlit takes
    what differs for moves.
    """
    visit = st.session_state.get(VISIT, 0)

    @wraps(callback)
    def obey(*args: Any) -> None:
        if st.session_state.get(VISIT, 0) == visit:
            callback(*args)

    return obey


def sent(key: str, name: str) -> Any:
    """What a component or chart of the page sent, by its key; None where that is gone.

    The browser may still tell of what the page has just ceased to show. A callback that failed
    then took along what else had come with it: a stroke drawn, a button pressed.
    """
    return getattr(st.session_state.get(key), name, None)


def selected(key: str) -> list[Any]:
    """The points that were selected in a chart, by its key; none where it is gone."""
    selection = sent(key, "selection")
    return [] if selection is None else list(selection.points)


@dataclass(frozen=True)
class Control:
    """Under which key a control is drawn, and what it shows until a hand moves it."""

    name: str
    number: int
    start: Any
    visit: int

    @property
    def key(self) -> str:
        """The control's key for Streamlit."""
        return f"{self.name}-{self.number}" if self.number else self.name


def control(name: str, value: Any, same: Callable[[Any, Any], bool] = operator.eq) -> Control:
    """Return the control that is to show a value decided elsewhere (undo, another slider).

    While one slider is moved quickly, the browser sends the former values of the others along, as
    if a hand had put them there. So a control that has to give up its value becomes a new one,
    with a key of its own: what the browser still says of the old one concerns nobody. One that
    shows the value already keeps its key, its focus, and the hand on it. `same(shown, value)`
    tells whether it does. A control whose page was left and is drawn again is a new one, too.
    """
    controls: dict[str, Control] = st.session_state.setdefault(CONTROLS, {})
    now = controls.get(name)
    visit = st.session_state.get(VISIT, 0)
    shown = None if now is None else st.session_state.get(now.key)
    if now is None:
        controls[name] = Control(name, 0, value, visit)
    elif now.visit != visit or shown is None or not same(shown, value):
        controls[name] = Control(name, now.number + 1, value, visit)
    return controls[name]


def control_value(name: str) -> Any:
    """Return what the control of that name says now; for its callback."""
    return st.session_state[st.session_state[CONTROLS][name].key]
