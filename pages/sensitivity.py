"""The page Sensitivity."""

from pruneviz.ui import sensitivity

sensitivity.show()
