"""The page Lessons."""

from pruneviz.ui.frame import navigation

navigation.page(__file__, "lessons")
