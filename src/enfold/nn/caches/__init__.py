"""The rooms of ``enfold.nn.cache``: what a layer keeps, and the kinds of cache."""
