"""The comparisons of two models' predictions, one file each."""
