"""Attacks on an isolated host: a readable table, each line turned into a real bundle and tried."""
