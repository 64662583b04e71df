"""The review dossier: one self-contained bilingual page on which a security reviewer decides."""
