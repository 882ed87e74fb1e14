"""Drills: what may break is broken while jobs run, and every accepted job must still end once.

They take minutes, so each is marked `drill` and runs by `make drills`, on a server of its own.
"""
