"""Image processors: from pictures in any form to model inputs, and from model outputs to boxes, masks and depths."""
