"""Where advisories come from: one interface, one file for each tool that is asked."""
