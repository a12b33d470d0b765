"""The studio's entry: `streamlit run app.py`, or the `pruneviz` command."""

from pathlib import Path

from pruneviz.ui.frame import navigation

navigation.run(Path(__file__).parent)
