"""Damaged files of every format that we read, what is asked of them, and what may be answered."""
