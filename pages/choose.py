"""The page Choose."""

from pruneviz.ui.choose import page as choose
from pruneviz.ui.frame import navigation

navigation.page(__file__, choose.show)
