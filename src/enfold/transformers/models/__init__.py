"""One file a family: its modules under the checkpoint's names, and its heads."""
