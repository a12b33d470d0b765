"""`pruneviz run`, `race` and `study`: runs with records, started and watched from the shell."""
