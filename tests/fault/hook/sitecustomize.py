"""Loaded by the interpreter of a program under test; see `faulthook`, which lies beside it."""

import importlib

importlib.import_module("faulthook").install()
