"""The page Runs."""

from pruneviz.ui import runs, shell

shell.page(__file__, runs.show)
