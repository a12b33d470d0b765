"""The `pruneviz` command and its verbs."""
