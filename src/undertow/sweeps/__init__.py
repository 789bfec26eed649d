"""Sweeps: combinations of settings, each with several seeds, shared by processes and machines, and resumable."""
