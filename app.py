"""The studio's entry: `streamlit run app.py`, or the `pruneviz` command.

The server imports this file for the app; Streamlit then runs it as a script for every visitor.
"""

from pathlib import Path

if __name__ == "__main__":
    from pruneviz.ui.frame import navigation

    navigation.run(Path(__file__).parent)
else:
    from streamlit.starlette import App

    from pruneviz.ui.serving.server import around

    app = App(__file__, **around())
