"""The page Help."""

from pruneviz.ui.frame import navigation

navigation.page(__file__, "help")
