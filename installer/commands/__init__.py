"""One module for each command of `install.py`: `run(options, prefix, console)` returns the exit code."""
