"""OpenAI's wire format under /v1: one module per resource, each with its `router`."""
