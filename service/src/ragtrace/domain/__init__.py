"""Plain data and rules: documents, chunks, sentences, answers. Imports nothing of the other folders."""
