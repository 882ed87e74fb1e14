"""Everything that turns input into output: tasks, model families, transforms. No Ray, no HTTP server."""

import os

# Else each import of transformers, in every replica, recommends torchvision, which nothing here uses.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
