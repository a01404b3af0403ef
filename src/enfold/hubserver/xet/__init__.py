"""The content-addressed store that the official client uploads to: chunks in xorbs, files as ranges of chunks."""
