"""Published comparisons, run again: grids of trainings with many seeds, resumable, with results as one JSON and figures."""
