"""The page Rank."""

from pruneviz.ui.frame import navigation

navigation.page(__file__, "rank")
