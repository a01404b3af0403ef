"""What turns images, recordings and texts together into model inputs: shared parts and the auto classes."""
