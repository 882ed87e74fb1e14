"""Queued jobs: their records, the store that is the truth about them, the queue, and who runs them."""
