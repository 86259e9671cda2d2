"""One function a subcommand; each takes the parsed arguments and returns the exit status."""
