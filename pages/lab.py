"""The page Lab."""

from pruneviz.ui import lab, shell

shell.page(__file__, lab.show)
