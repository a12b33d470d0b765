"""A page of a studio without a browser: speaks Streamlit's protocol, and keeps what it was sent."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qs

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

PATIENCE = 120.0
ENDED = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_FRAGMENT_RUN_SUCCESSFULLY)


class OpenPage:
    """One visit to a page, as after a reload: the server knows of it what the address says."""

    def __init__(self, port: int, name: str, **query: str) -> None:
        self._name = name
        self.query = query
        self.elements: list[Any] = []
        """What the last run of the page has drawn."""
        self._open = ExitStack()
        address, protocol = f"ws://127.0.0.1:{port}/_stcore/stream", Subprotocol("streamlit")
        asked = connect(address, subprotocols=[protocol], max_size=None, open_timeout=PATIENCE)
        self._socket: ClientConnection = self._open.enter_context(asked)
        self._run()

    @property
    def text(self) -> str:
        """All that stands on the page, in Streamlit's own notation."""
        shown = "\n".join(map(str, self.elements))
        return shown.encode().decode("unicode_escape").encode("latin-1", "ignore").decode()

    def move(self, label: str, value: float) -> None:
        """Move a slider."""
        ids = [e.slider.id for e in self.elements if e.slider.label == label]
        state = BackMsg()
        widget = state.rerun_script.widget_states.widgets.add()
        widget.id = ids[-1]
        widget.double_array_value.data.append(value)
        self._act(state)

    def press(self, key: str) -> None:
        """Press a button, by its key."""
        ids = [e.button.id for e in self.elements if e.button.id.endswith(f"-{key}")]
        state = BackMsg()
        widget = state.rerun_script.widget_states.widgets.add()
        widget.id = ids[-1]
        widget.trigger_value = True
        self._act(state)

    def __enter__(self) -> OpenPage:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _act(self, message: BackMsg) -> None:
        """Have parts of the page drawn, then all, as it is once a plan's accuracy was measured."""
        self._run(message)
        self._run()

    def _run(self, message: BackMsg | None = None) -> None:
        """Have the page run, and read until it has ended, not to run again at once."""
        message = message or BackMsg()
        message.rerun_script.page_name = self._name
        message.rerun_script.query_string = "&".join(f"{k}={v}" for k, v in self.query.items())
        self._socket.send(message.SerializeToString())
        deadline = time.monotonic() + PATIENCE
        while True:
            told = ForwardMsg()
            told.ParseFromString(self._socket.recv(max(0.1, deadline - time.monotonic())))
            kind = told.WhichOneof("type")
            if kind == "new_session":
                self.elements = []
            elif kind == "delta" and told.delta.WhichOneof("type") == "new_element":
                self.elements.append(told.delta.new_element)
            elif kind == "page_info_changed":
                asked = parse_qs(told.page_info_changed.query_string)
                self.query = {name: values[0] for name, values in asked.items()}
            elif kind == "script_finished" and told.script_finished in ENDED:
                return
