"""The page Explain."""

from pruneviz.ui.explain import page as explain
from pruneviz.ui.frame import navigation

navigation.page(__file__, explain.show)
