"""A page that went blank is loaded again; the address says where the visitor was.

Where Streamlit's browser side is told of the contents of a container that it does not know, it
takes the whole page away (`Cannot set a node at a delta path`). The one way to get there that we
know of is closed (`serving.page_changes`); this is the net below.
"""

from __future__ import annotations

import streamlit as st

KEY = "revival"
SCRIPT = """
<script>
if (!window.prunevizRevives) {
  window.prunevizRevives = true;
  const KEY = "pruneviz-revived", PATIENCE = 500, APART = 10000;  // milliseconds
  window.addEventListener("error", () => setTimeout(() => {
    if (document.querySelector('[data-testid="stApp"]')) return;
    const last = Number(sessionStorage.getItem(KEY) || 0);
    if (Date.now() - last < APART) return;  // it would only break again
    sessionStorage.setItem(KEY, String(Date.now()));
    location.reload();
  }, PATIENCE));
}
</script>
"""


def stand_by() -> None:
    """Load the page again if the browser gives it up."""
    with st.container(key=KEY):
        st.html(SCRIPT, unsafe_allow_javascript=True)
