"""Where file contents live."""
