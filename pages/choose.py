"""The page Choose."""

from pruneviz.ui.frame import navigation

navigation.page(__file__, "choose")
