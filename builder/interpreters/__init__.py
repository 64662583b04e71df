"""Relocatable interpreters to carry: which archive for which target, pinned by digest."""
