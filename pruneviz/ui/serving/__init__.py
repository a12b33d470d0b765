"""How the studio is served: where it listens, who may come in, and what a visitor may read."""
