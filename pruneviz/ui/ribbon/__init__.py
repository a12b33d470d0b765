"""The network as one picture, on every page that speaks of layers."""
