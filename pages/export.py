"""The page Export."""

from pruneviz.ui import export, shell

shell.page(__file__, export.show)
