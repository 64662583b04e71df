"""Tests of the recovery assistant."""
