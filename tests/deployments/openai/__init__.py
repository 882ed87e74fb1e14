"""Tests of OpenAI's wire format, with the official client."""
