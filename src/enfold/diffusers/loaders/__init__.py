"""What is loaded into a pipeline beside its folder: adapters, learned words, checkpoints of one file."""
