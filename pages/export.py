"""The page Export."""

from pruneviz.ui.export import page as export
from pruneviz.ui.frame import navigation

navigation.page(__file__, export.show)
