"""The page Lessons."""

from pruneviz.ui.frame import navigation
from pruneviz.ui.lessons import page as lessons

navigation.page(__file__, lessons.show)
