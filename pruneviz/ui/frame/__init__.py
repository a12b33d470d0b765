"""The frame around every page: navigation, the bar of the plan in hand, theme, errors, visitor."""
