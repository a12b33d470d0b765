"""Everything that needs a screen, and the values behind it, which do not."""
