"""PruneViz's own kinds of runs; everything heavy is imported inside them, in the worker."""
