"""What the metrics on texts share: tokens, n-gram counts, common subsequences, the Porter stemmer."""
