"""The configurations of the model families; no torch here, so that reading one stays quick."""
