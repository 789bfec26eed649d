"""Instruments for gradients: what travels back through an unroll, how large it is, and which way it points."""
