"""Taking a network away: files that run without PruneViz, and what led to them."""

from pruneviz.export.bundle import Bundle, bundle, load_bundle
from pruneviz.export.check_files import state_digest
from pruneviz.export.result import Check, Exported
from pruneviz.export.write import FORMATS, export

__all__ = [
    "FORMATS",
    "Bundle",
    "Check",
    "Exported",
    "bundle",
    "export",
    "load_bundle",
    "state_digest",
]
