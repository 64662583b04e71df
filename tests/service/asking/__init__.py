"""Tests of asking: understanding a question, prompting, citations, conversations, over HTTP."""
