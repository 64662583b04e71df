"""Sealing: keys, signatures, the manifest and the checksums of everything."""
