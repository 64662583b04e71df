"""Model conversion for real, in an environment that has torch: `make test-convert`."""
