"""The little styling that Streamlit's theme does not give, and colours for the mode in use."""

from __future__ import annotations

from typing import Any

import streamlit as st

from pruneviz.figures import words
from pruneviz.ui.frame import presenting
from pruneviz.ui.frame.text import harmless, has_links

STYLE = """
<style>
.stMainBlockContainer { padding: 4.4rem 2.5rem 1rem 2.5rem; max-width: 1600px; }
[data-testid="stBottomBlockContainer"] { padding: 0.6rem 2.5rem 0.9rem 2.5rem; max-width: 1600px; }
[data-stale="true"] { opacity: 1 !important; }
.st-key-planbar { padding: 0.1rem 0; }
.st-key-revival { display: none; }
.pv-bar { display: flex; flex-wrap: wrap; gap: 0.15rem 1.4rem; align-items: baseline;
  font-size: 0.95rem; line-height: 1.35; }
.pv-bar .pv-name { opacity: 0.7; font-size: 0.8rem; margin-right: 0.35rem; }
.pv-bar b { font-variant-numeric: tabular-nums; }
.pv-bar .pv-note { opacity: 0.75; font-size: 0.82rem; font-variant-numeric: tabular-nums; }
.pv-bar .pv-stale b { opacity: 0.45; }
.pv-bar .pv-brief, .pv-bar progress, .st-key-planbar > .st-key-bar_fold { display: none; }
.pv-bar progress { width: 100%; height: 4px; border: 0; appearance: none;
  background: rgba(138, 143, 152, 0.25); color: #0072B2; }
.pv-bar progress::-webkit-progress-bar { background: rgba(138, 143, 152, 0.25); }
.pv-bar progress::-webkit-progress-value { background: #0072B2; }
.pv-bar progress::-moz-progress-bar { background: #0072B2; }
.st-key-planbar kbd, .st-key-planbar button [data-testid="stShortcut"] { display: none; }
.stButtonGroup [role="radiogroup"], .stButtonGroup > div { flex-wrap: wrap !important; }
.stButtonGroup button:not(:last-of-type) { border-right-width: 1px; margin-right: -1px; }
[data-testid="stCaptionContainer"] *, .stImage div, .stImage p, [data-testid="stImageCaption"] {
  color: inherit !important; }
[data-testid="stCaptionContainer"] { opacity: 0.8;
  color: inherit !important; }
h1 { font-size: 1.6rem !important; padding: 0 0 0.2rem 0 !important; }
h2 { font-size: 1.4rem !important; padding: 0.2rem 0 !important; }
h3 { font-size: 1.15rem !important; padding: 0.2rem 0 !important; }
h4 { font-size: 1.05rem !important; }
h5, h6 { font-size: 1rem !important; }
@media (max-width: 640px) {
  .stMainBlockContainer kbd { display: none; }
  h1 { font-size: 1.3rem !important; }
  .st-key-planbar { flex-wrap: nowrap !important; gap: 0.5rem !important; }
  .st-key-planbar:has(> * .pv-bar:not(.pv-folded)) { flex-wrap: wrap !important; }
  .st-key-planbar > :has(.pv-bar:not(.pv-folded)) { order: -1; flex: 1 0 100% !important; }
  .st-key-planbar > .st-key-bar_fold { display: block !important; margin-left: auto; }
  .st-key-planbar:has(.pv-folded) > .st-key-redo { display: none; }
  .st-key-planbar button p { position: absolute; width: 1px; height: 1px; overflow: hidden;
    clip-path: inset(50%); }
  .st-key-planbar button { padding: 0.25rem 0.55rem; min-height: 0; }
  .pv-bar .pv-note { font-size: 0.75rem; }
  .pv-bar { gap: 0.05rem 0.9rem; font-size: 0.85rem; }
  .pv-bar.pv-folded { flex-wrap: nowrap; white-space: nowrap; overflow: hidden; }
  .pv-folded .pv-more { display: none; }
  .pv-folded .pv-brief { display: inline; }
  .pv-folded progress { display: block; }
  .st-key-maps [data-testid="stColumn"] [data-testid="stVerticalBlock"] {
    flex-flow: row nowrap !important; gap: 0.5rem; }
  .st-key-maps [data-testid="stElementContainer"] { flex: 1 1 0 !important; min-width: 0; }
  .st-key-maps .stImage, .st-key-maps .stImage * { max-width: 100% !important; }
  .st-key-chart_first [data-testid="stColumn"]:has(.st-key-view) { order: -1; }
  .stMainBlockContainer { padding-left: 0.9rem; padding-right: 0.9rem; }
  [data-testid="stBottomBlockContainer"] { padding: 0.4rem 0.9rem 0.5rem 0.9rem; }
}
</style>
"""

STYLE_LIGHT = """
<style>
.stCode .token { color: #31333F !important; }
.stCode .token:is(.keyword, .builtin, .boolean, .number, .variable) { color: #0B5CAD !important; }
.stCode .token:is(.string, .triple-quoted-string) { color: #0A6640 !important; }
.stCode .token.comment { color: #5B6069 !important; }
</style>
"""
STYLE_DARK = """
<style>
[data-testid="stBaseButton-primary"] *, [data-testid="stBaseButton-primaryFormSubmit"] *,
.stMultiSelect [data-tag] * {
  color: #0B1117 !important; }
.stCode .token.keyword { color: #8FC7FF !important; }
</style>
"""
"""AA asks for a contrast of 4.5: white on the dark theme's blue has 3, keywords of code 4.1, and
most of what is coloured in light code less than 4.5."""

CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["zoomIn2d", "zoomOut2d", "autoScale2d"],
    "toImageButtonOptions": {"format": "svg", "filename": "pruneviz"},
    "responsive": True,
}


def dark() -> bool:
    """Tell whether the visitor's theme is dark."""
    return bool(st.context.theme.type == "dark")


def chart(figure: Any, key: str, **options: Any) -> Any:
    """Show a figure in PruneViz's own style; its text alternative is its own, too."""
    alt = words.told(figure)
    parts = changed = figure.to_plotly_json()
    if has_links(parts):
        changed = harmless(changed)
    if presenting.now():
        changed = presenting.enlarged(changed)
    # A figure, not its parts: Streamlit refuses those of an empty one.
    drawn = figure if changed is parts else type(figure)(changed)
    return st.plotly_chart(drawn, theme=None, key=key, config=CONFIG, alt=alt, **options)
