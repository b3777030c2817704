"""What the commonest quantities are called and are, for somebody who meets them for the first time.

Quantities that are not named here are explained by the docstring of their result.
"""

from __future__ import annotations

import re

WORDS: dict[str, tuple[str, str]] = {
    "exponents": (
        "Lyapunov exponents",
        "Rates at which small differences grow (above zero) or shrink (below zero), one for each direction; the number "
        "e^λ is the factor per step.",
    ),
    "exponent": (
        "Largest Lyapunov exponent",
        "Rate at which two neighbouring states part: above zero, the map is chaotic.",
    ),
    "kaplan_yorke": (
        "Kaplan-Yorke dimension",
        "How many numbers say where on the attractor a state is, as the exponents imply it; it need not be whole.",
    ),
    "entropy": (
        "Entropy",
        "How much about the future is forgotten at each step: at most the sum of the growing rates.",
    ),
    "attractor": ("Attractor", "What trajectories do in the end: rest, go round, or wander without end."),
    "n_positive": ("Positive exponents", "Directions in which differences surely grow."),
    "n_steps": ("Steps", "Steps that the averages are taken over."),
    "K": ("K", "Near 0 for a regular series, near 1 for a chaotic one."),
    "dimension": ("Dimension", "How many numbers tell points of the set apart, at the distances that were looked at."),
    "precision": ("Precision", "Part of the generated samples that look like real ones."),
    "recall": ("Recall", "Part of the real samples that the model could have generated."),
    "density": ("Density", "How thickly real samples lie around generated ones; may exceed 1."),
    "coverage": ("Coverage", "Part of the real samples with a generated one nearby."),
    "probabilistic_precision": ("Probabilistic precision", "Precision, counted by probabilities and not by yes or no."),
    "probabilistic_recall": ("Probabilistic recall", "Recall, counted by probabilities and not by yes or no."),
    "n_points": ("Points", "Different points that were measured."),
    "n_real": ("Real samples", "Samples of the data that were compared."),
    "n_generated": ("Generated samples", "Samples of the model that were compared."),
    "theiler": ("Theiler window", "Pairs of points at most so many steps apart in time do not count as neighbours."),
    "delay": ("Delay", "Steps between the values that make up one point of the series."),
    "noise": ("Noise", "Measurement noise or rounding, as part of the spread of the values."),
    "closer": ("As near as copies", "Part of the generated samples that are about as near to training data as copies."),
    "preference": (
        "Preference",
        "Chance that a generated sample is nearer to training data than a new one; 1/2 is fair.",
    ),
    "accuracy": ("Accuracy", "Part of the steps that go to the next category of the order."),
    "entropy_rate": ("Entropy rate", "How uncertain the next category is, given the present one."),
    "unseen": ("Unseen ends", "Chance that one more trajectory would end somewhere new."),
    "burn_in": ("Burn-in", "Steps until the ensemble no longer remembers where it started."),
    "winner": ("Winner", "The model whose samples deceive the other's discriminator more often."),
    "parameter": ("Parameter", "What was varied."),
    "statuses": ("Endings", "How the run at each value ended."),
    "attractors": ("Attractors", "What trajectories do in the end, and at how many values."),
    "unit": ("Unit", "What rates are counted by."),
}
"""Label and sentence, by the names of fields."""


def explained(name: str, otherwise: str) -> tuple[str, str]:
    """The label of a quantity and what it is.

    >>> explained("n_values", "Values used.")
    ('N values', 'Values used.')
    """
    label = name.replace("_", " ")
    return WORDS.get(name, (label[:1].upper() + label[1:], otherwise))


def documented(docstring: str) -> dict[str, tuple[str, str]]:
    """Type and description of what the section "Parameters" (or "Attributes") of a NumPy docstring names.

    >>> documented("Parameters\\n----------\\na, b : int\\n    Two\\n    numbers.")["b"]
    ('int', 'Two numbers.')
    """
    known: dict[str, tuple[str, str]] = {}
    for section in ("Attributes", "Parameters"):
        match = re.search(rf"^{section}\n-+\n(.*?)(?=^\w[^\n]*\n---|\Z)", docstring, re.MULTILINE | re.DOTALL)
        for names, kind, text in re.findall(
            r"^(\S[^:\n]*?)(?: *: *([^\n]*))?\n((?:(?:[ \t]+[^\n]*)?(?:\n|\Z))*)",
            (match[1] + "\n") if match else "",
            re.MULTILINE,
        ):
            description = " ".join(text.split("\n\n")[0].split())
            known |= {name.strip(): (kind, description) for name in names.split(",")}
    return known
