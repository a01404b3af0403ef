"""What enfold's three servers share: running one in the background, event streams, queue lanes, file rules, limits."""
