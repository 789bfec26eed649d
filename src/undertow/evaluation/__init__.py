"""Measurements: policies on suites as tables, and convergence with the grid."""
