"""Where a release's contents come from: one port, and an implementation for each form a bundle arrives in."""

from .interface import Source, Supplier
from .opening import Offer, open_source, open_supplier

__all__ = ["Offer", "Source", "Supplier", "open_source", "open_supplier"]
