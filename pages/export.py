"""The page Export."""

from pruneviz.ui.frame import navigation

navigation.page(__file__, "export")
