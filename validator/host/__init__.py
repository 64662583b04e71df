"""What a check may touch on the host, one module per thing: processes, commands, HTTP, packages, files."""
