"""Taking a pruned network away: weights, plan, and the lines that load both again."""

from pruneviz.export.bundle import Bundle, bundle, load_bundle

__all__ = ["Bundle", "bundle", "load_bundle"]
