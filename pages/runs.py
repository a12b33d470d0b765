"""The page Runs."""

from pruneviz.ui.frame import navigation
from pruneviz.ui.runs import page as runs

navigation.page(__file__, runs.show)
