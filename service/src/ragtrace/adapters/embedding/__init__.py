"""Embedding models: what a folder holds, texts to batches of token ids, engines that compute, vectors that are checked."""
