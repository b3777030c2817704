"""A random recurrent network, of any size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.arguments import whole
from lyapmap.systems.matrix_map import matrix_map
from lyapmap.systems.reference_map import ReferenceMap, SystemInfo, number


def random_tanh_weights(n: int, g: float, seed: int) -> NDArray[np.float64]:
    """Weights J (n, n) of `random_tanh_network`: independent, normal, of variance g^2 / n.

    Examples
    --------
    >>> random_tanh_weights(400, 1.5, seed=0).std().round(3) * 20
    np.float64(1.5)
    """
    n, g, seed = whole("n", n, 1), number("g", g), whole("seed", seed, 0)
    weights: NDArray[np.float64] = np.random.default_rng(seed).standard_normal((n, n)) * (g / np.sqrt(n))
    return weights


def random_tanh_network(
    n: int = 100,
    g: float = 1.5,
    seed: int = 0,
    framework: str = "numpy",
    dtype: str = "float64",
    device: str | None = None,
) -> ReferenceMap:
    """A random network, x' = J tanh(x), chaotic for g > 1 as n grows.

    Parameters
    ----------
    n : int
        Number of units.
    g : float
        Gain: the entries of J are independent and normal with variance g^2 / n.
    seed : int
        Of the draw of J, which `random_tanh_weights` gives.
    framework : "numpy" or "torch"
    dtype : "float64" or "float32"
    device : str, optional
        Where torch computes, e.g. "cuda".

    Returns
    -------
    ReferenceMap

    Notes
    -----
    At g = 1.5 and n = 4096 the largest exponent is 0.06495, the mean -0.71530, the Kaplan-Yorke
    dimension 0.16511 n and the entropy 0.002773 n (data published with the second reference).

    References
    ----------
    H. Sompolinsky, A. Crisanti and H. J. Sommers, "Chaos in random neural networks", Phys. Rev.
    Lett. 61, 259 (1988); in discrete time: B. Cessac et al., Physica D 74, 24 (1994). Spectra:
    D. G. Clark, github.com/davidclark1/rnn-lyapunov.

    Examples
    --------
    >>> m = random_tanh_network(n=3, seed=1)
    >>> import numpy as np
    >>> bool(np.allclose(m.jacobian(np.zeros((1, 3)))[0], random_tanh_weights(3, 1.5, 1)))
    True
    """
    weights = random_tanh_weights(n, g, seed)
    inner = matrix_map(weights, tanh=True, framework=framework, dtype=dtype, device=device)
    parameters = {"n": len(weights), "g": float(g), "seed": int(seed)}
    return ReferenceMap(inner, RANDOM_TANH_NETWORK, parameters)


RANDOM_TANH_NETWORK = SystemInfo(
    name="random_tanh_network",
    factory=random_tanh_network,
    formula="x' = J tanh(x), J_ij normal with variance g^2 / n",
    source="H. Sompolinsky, A. Crisanti and H. J. Sommers 1988, Phys. Rev. Lett. 61, 259; B. Cessac et al. 1994",
    dimension=None,
    low=(-1.0,),
    high=(1.0,),
    identity="mean exponent = <ln tanh'(x)> + ln g - 1/2 as n grows",
    notes="g = 1.5, n = 4096: largest exponent 0.06495, mean -0.71530, Kaplan-Yorke dimension 0.16511 n, "
    "entropy 0.002773 n (published, github.com/davidclark1/rnn-lyapunov); one draw of J differs from another",
)
