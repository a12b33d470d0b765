"""The page Runs."""

from pruneviz.ui.frame import navigation

navigation.page(__file__, "runs")
