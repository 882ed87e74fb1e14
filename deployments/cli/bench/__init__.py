"""`ai-server bench`: the server beside the bare library, in one run, on one machine.

Each command prints medians and their ratio. Both sides take turns, so that a noisy neighbour
hits both.
"""
