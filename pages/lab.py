"""The page Lab."""

from pruneviz.ui.frame import navigation

navigation.page(__file__, "lab")
