"""Pictures of what was measured. Figures are drawn without a display and without global state."""
