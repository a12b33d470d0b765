"""The page Sensitivity."""

from pruneviz.ui.frame import navigation
from pruneviz.ui.sensitivity import page as sensitivity

navigation.page(__file__, sensitivity.show)
