"""The page Help."""

from pruneviz.ui.frame import navigation
from pruneviz.ui.help import page as help_page

navigation.page(__file__, help_page.show)
