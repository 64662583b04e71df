"""One module per thing adapted: Kiwi, tantivy, SQLite, lxml, the file system, the clock."""
