"""PruneViz: see a CNN's filters, decide which to remove, watch what that costs and gains."""
