"""How tiny-sdxl, tiny-flux and their judge are made: `python -m pipelines.training`."""
