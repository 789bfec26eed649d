"""Run directories and what stands in them: checkpoints, metrics, locks. Files are written whole or not at all."""
