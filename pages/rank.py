"""The page Rank."""

from pruneviz.ui import rank

rank.show()
