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
# Characters of text in one document; a book has a million, and a package of 32 MiB can unpack to a thousand times its size.
DOCUMENT_CHARS = 50_000_000
# A table is cut into pieces of about this many characters, each with the header: below the usual chunk of 600.
TABLE_BLOCK_CHARS = 500
# Cells of one spreadsheet or CSV file, empty ones between others included; openpyxl takes about a minute for as many values.
TABLE_CELLS = 10_000_000
# Pages and bookmarks of one PDF; the longest handbooks have a tenth. A page counts as unreadable when the fonts of more than
# this share of its characters do not say what they are.
PDF_PAGES = 20_000
PDF_BOOKMARKS = 20_000
PDF_UNKNOWN_SHARE = 0.5
# Rows of a sheet: what Excel itself allows.
SHEET_ROWS = 1 << 20
# Lines of one cell above a table that may be its title, and the longest cell that may be part of one.
TABLE_HEAD_ROWS = 10
TABLE_HEAD_CELL = 60
# A cell merged over several rows is repeated in each of them up to this length, as the name of a group is.
TABLE_MERGED_CHARS = 40
# Share of control characters from which on a "text" file is taken for binary.
CONTROL_SHARE = 0.01
# Share of Korean and ASCII characters from which on bytes with zeros in them are taken for UTF-16.
WIDE_SHARE = 0.95
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
# ZIP containers (DOCX, PPTX, XLSX, HWPX): members, bytes of one member and of all, and the ratio that no honest document of
# that size reaches (blank bitmaps do reach 1000:1, but are small).
ZIP_MEMBERS = 20_000
ZIP_MEMBER_BYTES = 512 << 20
ZIP_TOTAL_BYTES = 1 << 30
ZIP_RATIO = 200
ZIP_RATIO_FROM = 64 << 20
# Elements of one XML part that is held as a tree: about 200 bytes of memory each.
XML_ELEMENTS = 3_000_000
# HWP and HWPX: records of one section, bytes of all sections when unpacked, nesting of tables and boxes, and the longest
# outline paragraph that is taken for a heading.
HWP_RECORDS = 2_000_000
HWP_TEXT_BYTES = 256 << 20
HANGUL_DEPTH = 20
HANGUL_HEADING_CHARS = 100
# Rows times columns up to which merged cells are spread over a table.
TABLE_GRID_CELLS = 1_000_000
# Reading one file: processor seconds, and so many more for each MiB of it; a share on the clock, because a busy machine is
# slow, not broken; and memory beside twice the file's size.
PARSE_CPU_S = 120.0
PARSE_CPU_S_PER_MIB = 10.0
PARSE_WALL_SHARE = 5.0
PARSE_MEMORY_BYTES = 2 << 30
# So few files of harmless formats start no process; a process takes 0.1 s to start.
PARSE_FEW = 8
# A larger file is not harmless, whatever its format: libxml2 takes some thirty times the size of a page.
PARSE_HERE_BYTES = 4 << 20
# Files and bytes read ahead of the one whose turn it is.
PARSE_AHEAD = 256
PARSE_AHEAD_BYTES = 64 << 20
# An answer of a parsing process over this is not believed.
PARSE_ANSWER_BYTES = 1 << 30
# Conversations remembered at a time, turns of each, and letters of each turn: about 80 MB at the very worst.
ROOMS = 1000
ROOM_TURNS = 20
ROOM_TURN_CHARS = 4000
# Unchanged files between two lines of progress.
PROGRESS_FILES = 1000
# Chunks embedded between two commits of the vector index: what a kill costs, and what one call of a model may pack well.
VECTOR_BATCH = 128
# Documents whose chunks are read from the records together.
VECTOR_DOCUMENTS = 200
# Embeddings remembered on disk, whatever their number: one with ColBERT rows can take a megabyte.
EMBEDDING_CACHE_BYTES = 1 << 30
# Messages and stop texts of one chat request, and texts of one request for embeddings.
CHAT_MESSAGES = 200
STOP_TEXTS = 4
EMBEDDING_TEXTS = 256
# Chunks embedded anew when the vectors are verified: each costs a pass of the model.
VERIFY_VECTORS = 20
# How often the owner of the vectors looks for changes of the records, and when it tries again what went wrong.
VECTOR_POLL_S = 1.0
VECTOR_RETRY_S = 15.0
# An index that is behind, with an owner that writes nothing for so long, is stuck: 200 long documents take minutes.
VECTOR_QUIET_S = 900.0
