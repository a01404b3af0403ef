"""The schema: one file for each thing that is kept."""
