"""Tests of the interpreters that a bundle may carry."""
