"""The command line: parses, reads, calls, writes, shows progress."""
