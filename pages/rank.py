"""The page Rank."""

from pruneviz.ui.frame import navigation
from pruneviz.ui.rank import page as rank

navigation.page(__file__, rank.show)
