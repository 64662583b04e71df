"""Tests of the RAG service."""
