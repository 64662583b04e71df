"""Every fixed cap of the service, with its reason. What an operator may change lives in the configuration."""

from __future__ import annotations

# A configuration is a page of text; more than this is a wrong file.
CONFIG_BYTES = 1 << 20
# Field sizes of a request besides the question (whose limit is configured).
IDENTIFIER_CHARS = 200
# Titles and section names are shown in one line and indexed; longer ones are cut.
TITLE_CHARS = 300
SECTION_DEPTH = 8
# Elements in one HTML page; a page over it was written by a program to be large.
HTML_ELEMENTS = 500_000
# Share of control characters from which on a "text" file is taken for binary.
CONTROL_SHARE = 0.01
# Chunks one search looks at before the best `search.top_n` are kept.
SEARCH_POOL = 50
# Search terms of one question; the rest of an over-long question adds noise, not recall.
QUESTION_TERMS = 64
# Lower bound of memory for the index writer (tantivy refuses less than 15 MB).
INDEX_HEAP_BYTES = 32_000_000
# Statements with more parameters than this are refused by SQLite builds of older systems.
SQL_PARAMETERS = 500
# Chunks held in memory before they are committed, however few documents they come from.
BATCH_CHUNKS = 10_000
# Time of one look through the records, and of one through the index; what is larger is looked at in part.
CHECK_SECONDS = 0.5
# Below the first an operator should act, below the second nothing can be taken in.
FREE_BYTES_WANTED = 256 << 20
FREE_BYTES_LEAST = 32 << 20
# The write lock may be held for hours; without one commit in so long, its holder is probably stuck.
LOCK_QUIET_S = 3600.0
# An index may be looked at between two commits; then it is looked at again.
STEP_TRIES = 3
STEP_PAUSE_S = 0.15
# Search terms of a chunk and chunks sampled when an index is verified.
VERIFY_TERMS = 32
VERIFY_SAMPLES = 50
