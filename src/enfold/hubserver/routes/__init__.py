"""The Hub's HTTP API, one module per subject."""
