"""The page Explain."""

from pruneviz.ui.frame import navigation

navigation.page(__file__, "explain")
