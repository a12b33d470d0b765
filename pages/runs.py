"""The page Runs."""

from pruneviz.ui import runs

runs.show()
