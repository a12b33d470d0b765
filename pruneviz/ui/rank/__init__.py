"""The page Rank."""
