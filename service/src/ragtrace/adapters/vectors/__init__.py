"""Vector indexes: Qdrant Edge in this process, a Qdrant server elsewhere; one layout for both."""
