"""Kill and fail the installer at every operation that changes anything."""
