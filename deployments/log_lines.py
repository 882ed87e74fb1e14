"""Log lines of our own: Ray keeps a process' output and shows it in the terminal and the dashboard."""

import logging
import sys


def log_to_stdout(name: str, line_format: str) -> None:
    """Let a logger write its lines to this process' output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter(line_format))
    logger = logging.getLogger(name)
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
