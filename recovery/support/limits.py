"""Every limit of the support bundle in one place, with its reason."""

# What a person can look through and a mail gateway lets pass; counted before compression.
BUNDLE_BYTES = 20_000_000
# Of each log its end: what happened before the trouble began is rarely older.
LOG_BYTES = 2_000_000
LOG_LINES = 5_000
LOG_FILES = 12
# Lines of the service manager's journal, and how long it may take to give them.
JOURNAL_LINES = 2_000
COMMAND_TIMEOUT_S = 10.0
# Of an audit log or journal of the installer the newest part.
RECORDS_BYTES = 1_000_000
# One string of a field.
FIELD_CHARACTERS = 2_000
LIST_ITEMS = 2_000
# Names in a listing.
LISTED = 2_000
# So much of each source goes through the self-test's copy.
SAMPLE_CHARACTERS = 64 * 1024
