"""Real installations for the actions: the same fixtures as the installer's own tests."""

from __future__ import annotations

from tests.installer.conftest import builder_key, bundle_for, site

__all__ = ["builder_key", "bundle_for", "site"]
