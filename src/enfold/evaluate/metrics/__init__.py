"""The metrics, one file each: a class with what it says about itself and how it computes."""
