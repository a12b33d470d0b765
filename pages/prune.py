"""The page Prune."""

from pruneviz.ui import prune

prune.show()
