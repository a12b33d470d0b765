"""The page Help: the documentation, a chapter at a time."""

from __future__ import annotations

import re

import streamlit as st

from pruneviz import docs
from pruneviz.ui.frame import address

CHAPTER = "chapter"


def show() -> None:
    """Show the page."""
    titles = {c.name: c.title for c in docs.chapters()}
    left, middle, _ = st.columns([2, 7, 1], gap="large")
    with left:
        address.seed(CHAPTER, docs.NAMES)
        name = st.radio("Chapter", docs.NAMES, format_func=titles.__getitem__, key=CHAPTER)
        address.follow(CHAPTER, docs.NAMES[0])
    with middle:
        chosen = docs.chapter(name)
        st.header(chosen.title)
        for part in chosen.parts():
            if isinstance(part, docs.Picture):
                st.image(str(part.file), caption=part.caption, alt=part.caption)
            else:
                st.markdown(linked(re.sub(r"^##", "###", part, flags=re.MULTILINE)))


def linked(text: str) -> str:
    """Have links to other chapters lead to them on this page."""
    return re.sub(r"\]\(([\w-]+)\.md(#[\w-]+)?\)", rf"](help?{CHAPTER}=\1)", text)
