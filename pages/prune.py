"""The page Prune."""

from pruneviz.ui.frame import navigation
from pruneviz.ui.prune import page as prune

navigation.page(__file__, prune.show)
