"""The page Sensitivity."""

from pruneviz.ui import sensitivity, shell

shell.page(__file__, sensitivity.show)
