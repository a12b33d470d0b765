"""A page that went blank is loaded again; the address says where the visitor was.

Of what is sent within the same moment Streamlit keeps the last at each place, so now and then a
busy machine's browser is told of the contents of a container that it does not know, and then takes
the whole page away (`Cannot set a node at a delta path`).
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
