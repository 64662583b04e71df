"""Every limit on what a bundle may make the reader do, in one place."""

from __future__ import annotations

# A manifest line is about 200 bytes; 64 MiB is 300,000 files, far beyond any real bundle.
MANIFEST_BYTES = 64 * 1024 * 1024
# An Ed25519 SSHSIG is about 300 bytes armored.
SIGNATURE_BYTES = 16 * 1024
ALLOWED_SIGNERS_BYTES = 1024 * 1024
# A record of three signers and two revoked keys is about 1 KB. A host may meet a chain of them before it
# believes anything: so few, and so small, that reading and checking all of them costs a moment.
TRUST_RECORD_BYTES = 32 * 1024
TRUST_RECORDS = 64
TRUST_SIGNERS = 32
# An advisory is about 600 bytes; 16 MiB is more than every advisory PyPI has ever had.
ADVISORIES_BYTES = 16 * 1024 * 1024
# As one file with its signatures: quoted once more, so no more than twice as long and a little.
RENEWAL_BYTES = 2 * ADVISORIES_BYTES + 256 * 1024
# One snapshot may serve the releases of several targets and versions.
RENEWAL_RELEASES = 64
# Deepest nesting of JSON values a manifest needs is 4.
JSON_DEPTH = 16
# Integers beyond 2**53 are not exact in every JSON reader.
JSON_INTEGER = 2**53
FILES = 200_000
# 240 leaves room under Windows' 260 for a short prefix; components under 255 bytes fit every file system.
PATH_CHARACTERS = 240
COMPONENT_BYTES = 255
PATH_DEPTH = 32
# 1 MiB reads keep the hash busy and the memory small.
CHUNK_BYTES = 1024 * 1024
# uv unpacks to about 40 MB on Linux, 70 MB elsewhere.
TOOL_BYTES = 256 * 1024 * 1024
# Pax records of one file: its path, in UTF-8, and its size.
PAX_BYTES = 4 * 1024
# The index of the largest sensible set: 1,000 volumes at about 150 bytes each.
INDEX_BYTES = 1024 * 1024
VOLUMES = 999
# Hashing threads: more than cores does not help, more than this only seeks.
HASH_THREADS = 16
