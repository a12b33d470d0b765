"""The page Lab."""

from pruneviz.ui.frame import navigation
from pruneviz.ui.lab import page as lab

navigation.page(__file__, lab.show)
