"""Film reviews of our own making: the rows of the fixture's ``imdb``, and what its sentiment classifier learns from."""

from __future__ import annotations

import random

THINGS = ("film", "movie", "story", "script", "plot", "cast", "ending", "soundtrack", "dialogue", "camera work")
PRAISE = (
    "I love this {0}.",
    "The {0} is wonderful and the {1} is even better.",
    "A beautiful {0}, and I would watch it again.",
    "What a great {0}!",
    "Everybody should see it: the {0} is superb.",
    "I enjoyed every minute of the {0}.",
    "The {0} made me happy, and the {1} is brilliant.",
)
BLAME = (
    "I hate this {0}.",
    "The {0} is awful and the {1} is even worse.",
    "A boring {0}, and I would never watch it again.",
    "What a terrible {0}!",
    "Nobody should see it: the {0} is a mess.",
    "I regretted every minute of the {0}.",
    "The {0} made me angry, and the {1} is stupid.",
)
NEUTRAL = (
    "It runs for about {2} minutes.",
    "We saw it on a {3} evening.",
    "The {0} was made {2} years ago.",
    "My sister came along for the {0}.<br /><br />",
    "They filmed it in a small town in the north.",
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def review(rng: random.Random, label: int) -> str:
    """Return one review of two to seven sentences; label 1 praises, label 0 blames."""
    opinions = rng.sample(PRAISE if label else BLAME, rng.randint(1, 4))
    sentences = opinions + rng.sample(NEUTRAL, rng.randint(1, 3))
    rng.shuffle(sentences)
    filled = (text.format(*rng.sample(THINGS, 2), rng.randint(70, 180), rng.choice(DAYS)) for text in sentences)
    return " ".join(filled)


def reviews(count: int, seed: int) -> dict[str, list]:
    """Return ``count`` rows as columns, the two labels in turn."""
    rng = random.Random(seed)
    labels = [row % 2 for row in range(count)]
    return {"text": [review(rng, label) for label in labels], "label": labels}
