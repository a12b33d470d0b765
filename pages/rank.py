"""The page Rank."""

from pruneviz.ui import rank, shell

shell.page(__file__, rank.show)
