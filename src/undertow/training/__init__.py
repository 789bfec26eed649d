"""Optimisers, the trainer as a pure function of its state, the loop around it, checkpoints and run directories.

An update that is not finite is skipped and counted, many in a row end the run with the place where it went wrong.
Files are written whole or not at all.
"""
