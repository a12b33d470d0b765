"""The page Prune."""

from pruneviz.ui.frame import navigation

navigation.page(__file__, "prune")
