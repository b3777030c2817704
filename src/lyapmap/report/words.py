"""Words of figures, formulas among them, as HTML and as plain words."""

from __future__ import annotations

import re
import textwrap
from html import escape, unescape

_SIGNS = {
    "lambda": "λ", "sigma": "σ", "mu": "μ", "epsilon": "ε", "varepsilon": "ε", "eta": "η", "xi": "ξ", "alpha": "α",
    "beta": "β", "theta": "θ", "rho": "ρ", "Delta": "Δ", "delta": "δ", "sum": "Σ", "dots": "…", "cdots": "⋯",
    "ldots": "…", "times": "×", "cdot": "·", "pm": "±", "leq": "≤", "geq": "≥", "le": "≤", "ge": "≥", "to": "→",
    "rightarrow": "→", "infty": "∞", "langle": "⟨", "rangle": "⟩", "approx": "≈", "log": "log", "ln": "ln",
    "max": "max", "min": "min", "in": "∈", "prime": "′", "partial": "∂", "nu": "ν", "omega": "ω", "phi": "φ",
    "pi": "π", "tau": "τ", "kappa": "κ", "chi": "χ", "psi": "ψ", "gamma": "γ", ",": " ", ";": " ", " ": " ", "!": "",
    "%": "%", "$": "$", "|": "‖", "{": "{", "}": "}",
}  # fmt: skip


def in_html(text: str) -> str:
    """A text of matplotlib, with formulas between dollar signs, as harmless HTML.

    >>> in_html(r"exponent $\\lambda_i$  (nats per step)"), in_html("<b>")
    ('exponent λ<sub>i</sub>  (nats per step)', '&lt;b&gt;')
    """
    parts = re.split(r"(?<!\\)\$", str(text))
    if len(parts) % 2 == 0:  # a lone sign is no formula
        return escape(str(text)).replace("\n", "<br>")
    shown = [_formula(part) if i % 2 else escape(part.replace("\\$", "$")) for i, part in enumerate(parts)]
    return "".join(shown).replace("\n", "<br>")


WIDEST = 36
"""Letters of a line beside an axis."""


def broken(text: str) -> str:
    """Words in lines that stand beside an axis; formulas are not torn apart.

    >>> broken("difference in half widths of the interval")
    'difference in half widths of the\\ninterval'
    """
    return str(text) if "$" in str(text) else textwrap.fill(str(text), WIDEST)


def in_words(text: str) -> str:
    """The same as plain words, for those who hear a page.

    >>> in_words(r"$\\lambda_1 + \\dots$")
    'λ1 + …'
    """
    return unescape(re.sub(r"<[^>]*>", "", in_html(text).replace("<br>", " ")))


def _formula(text: str) -> str:
    text = re.sub(r"\\(?:mathrm|text|mathbf|mathit|mathsf|operatorname)\s*\{([^{}]*)\}", r"\1", escape(text))
    text = re.sub(r"\\([A-Za-z]+|[,; !%$|{}])", lambda sign: _SIGNS.get(sign[1], sign[1]), text)
    for _ in range(3):  # indices within indices
        text = re.sub(r"_(?:\{([^{}]*)\}|(&\w+;|.))", lambda part: f"<sub>{part[1] or part[2]}</sub>", text)
        text = re.sub(r"\^(?:\{([^{}]*)\}|(&\w+;|.))", lambda part: f"<sup>{part[1] or part[2]}</sup>", text)
    return text.replace("{", "").replace("}", "").replace("-", "−")
