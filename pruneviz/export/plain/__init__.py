"""A network as plain PyTorch: one file of code that needs only torch, and its weights.

The network is run and watched (`capture`): which modules were called, which torch functions
between them, on what. `source` writes that down as `nn.Module` classes, one for every kind of
block, with the widths that pruning left.
"""

from pruneviz.export.plain.source import PlainNetwork, plain_network

__all__ = ["PlainNetwork", "plain_network"]
