"""Recordings: spectrograms, and the feature extractors of models that hear. Loads no torch."""
