"""The page Choose."""

from pruneviz.ui import choose, shell

shell.page(__file__, choose.show)
