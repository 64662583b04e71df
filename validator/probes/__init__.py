"""Stand-alone scripts that the installed release's own interpreter runs; nothing of ours imports them."""
