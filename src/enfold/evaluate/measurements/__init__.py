"""The measurements of data sets, one file each."""
