"""The command line: ai-server."""
