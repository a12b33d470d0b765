"""The page Sensitivity."""

from pruneviz.ui.frame import navigation

navigation.page(__file__, "sensitivity")
