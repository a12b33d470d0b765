"""The page Choose."""

from pruneviz.ui import choose

choose.show()
