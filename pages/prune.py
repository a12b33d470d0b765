"""The page Prune."""

from pruneviz.ui import prune, shell

shell.page(__file__, prune.show)
