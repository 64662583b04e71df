"""Korean retrieval and question answering over a company's own documents, inside a closed network."""

from __future__ import annotations

__version__ = "0.1.0"
