"""Ways in: the command line and the HTTP interface. They translate, they decide nothing."""
