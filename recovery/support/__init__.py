"""The support bundle: what a helper outside the closed network needs, and nothing that must stay inside."""
