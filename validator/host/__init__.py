"""What a check may touch on the host, one module per thing adapted: processes, commands, HTTP, installed packages."""
