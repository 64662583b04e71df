"""Rerankers: cross-encoders that read question and passage together, on ONNX Runtime or torch."""
