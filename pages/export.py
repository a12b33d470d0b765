"""The page Export."""

from pruneviz.ui import export

export.show()
