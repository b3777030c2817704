"""The pieces of work, each by several tools. Nothing is imported before a tool is asked for.

A tool is a function that prepares a piece of work and returns a job. The job does all of it and returns
its values, or those of one part in `share` parts where the whole would take minutes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Job = Callable[[], dict[str, Any]]
A, B = 1.4, 0.3
SIGMA, RHO, BETA = 10.0, 28.0, 8 / 3
DT = 0.01


@dataclass(frozen=True)
class Work:
    """What is done, and by whom.

    Attributes
    ----------
    title : str
        With its shape.
    kind : "one trajectory", "ensemble" or "points"
    known : str
        What should come out.
    tools : dict
        By package, and after a comma the way in which it is used.
    """

    title: str
    kind: str
    known: str
    tools: dict[str, Callable[[], Job]] = field(default_factory=dict)


WORKS: dict[str, Work] = {}


def work(name: str, title: str, kind: str, known: str) -> None:
    WORKS[name] = Work(title, kind, known)


def by(tool: str, *works: str) -> Callable[[Callable[[str], Job]], Callable[[str], Job]]:
    """Let a function that takes the name of a piece of work prepare it for a tool."""

    def enter(prepare: Callable[[str], Job]) -> Callable[[str], Job]:
        for name in works:
            WORKS[name].tools[tool] = lambda name=name: prepare(name)
        return prepare

    return enter


def first(values: Any, count: int = 4) -> list[float]:
    return [round(float(value), 5) for value in np.ravel(np.asarray(values))[:count]]


def in_jax() -> Any:
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax


# Hénon's map: all exponents.

work("henon", "Hénon map, 1 x 200 000 steps, both exponents", "one trajectory", "0.4192, -1.6232")
work("henon-ensemble", "Hénon map, 256 x 20 000 steps, both exponents", "ensemble", "0.4192, -1.6232")
HENON = ("henon", "henon-ensemble")
TRANSIENT = 1000


def henon_run(name: str) -> tuple[np.ndarray, int]:
    count, steps = (1, 200_000) if name == "henon" else (256, 20_000)
    return np.random.default_rng(0).uniform(-0.1, 0.1, (count, 2)), steps


def spectrum_of(m: Any, x0: np.ndarray, steps: int, transient: int = TRANSIENT, **options: Any) -> Job:
    import lyapmap as lm

    def job() -> dict[str, Any]:
        spectrum = lm.lyapunov_spectrum(m, x0, n_steps=steps, transient=transient, seed=0, throw=False, **options)
        return {"exponents": first(spectrum.exponents), "errors": first(spectrum.stderr)}

    return job


@by("lyapmap, its own map", *HENON)
def henon_catalogue(name: str) -> Job:
    import lyapmap as lm

    return spectrum_of(lm.systems.henon(), *henon_run(name))


@by("lyapmap, a NumPy function", *HENON)
def henon_numpy(name: str) -> Job:
    import lyapmap as lm

    def henon(s: np.ndarray) -> np.ndarray:
        return np.stack([1 - A * s[:, 0] ** 2 + s[:, 1], B * s[:, 0]], axis=1)

    return spectrum_of(lm.wrap(henon, state_shape=2), *henon_run(name))


@by("lyapmap, an njit function", *HENON)
def henon_njit(name: str) -> Job:
    import numba

    import lyapmap as lm

    @numba.njit
    def henon(s: np.ndarray) -> np.ndarray:
        return np.array([1 - A * s[0] ** 2 + s[1], B * s[0]])

    return spectrum_of(lm.wrap(henon, state_shape=2), *henon_run(name))


@by("lyapmap, a JAX function", *HENON)
def henon_jax(name: str) -> Job:
    jnp = in_jax().numpy
    import lyapmap as lm

    def henon(s: Any) -> Any:
        return jnp.stack([1 - A * s[:, 0] ** 2 + s[:, 1], B * s[:, 0]], axis=1)

    return spectrum_of(lm.wrap(henon, backend="jax", state_shape=2, dtype="float64"), *henon_run(name))


@by("lyapmap, a torch function", *HENON)
def henon_torch(name: str) -> Job:
    import torch

    return spectrum_of(henon_in(torch, backend="torch"), *henon_run(name))


@by("lyapmap, a TensorFlow function", *HENON)
def henon_tensorflow(name: str) -> Job:
    import tensorflow

    return spectrum_of(henon_in(tensorflow, backend="tensorflow"), *henon_run(name))


def henon_in(array: Any, backend: str) -> Any:
    """The map as it is written for rows of states, in torch or TensorFlow."""
    import lyapmap as lm

    def henon(s: Any) -> Any:
        return array.stack([1 - A * s[:, 0] ** 2 + s[:, 1], B * s[:, 0]], 1)

    return lm.wrap(henon, backend=backend, state_shape=2, dtype="float64")


@by("lyapax", *HENON)
def henon_lyapax(name: str) -> Job:
    jax = in_jax()
    jnp = jax.numpy
    from lyapax import lyapunov_spectrum

    x0, steps = henon_run(name)

    def exponents(x: Any) -> Any:
        return lyapunov_spectrum(
            lambda s: jnp.array([1 - A * s[0] ** 2 + s[1], B * s[0]]),
            state0=x,
            dt=1.0,
            n_steps=steps,
            renorm_every=4,
            t_transient=float(TRANSIENT),
        ).exponents

    run = jax.jit(jax.vmap(exponents) if len(x0) > 1 else lambda x: exponents(x[0])[None])
    return lambda: {"exponents": first(np.asarray(run(jnp.asarray(x0))).mean(axis=0))}


@by("chaotax", *HENON)
def henon_chaotax(name: str) -> Job:
    jax = in_jax()
    jnp = jax.numpy
    import chaotax

    x0, steps = henon_run(name)
    exponents = chaotax.lyapunov_spectrum(
        lambda s: jnp.array([1 - A * s[0] ** 2 + s[1], B * s[0]]),
        rollout_steps=steps,
        warmup_steps=TRANSIENT,
        discard_steps=100,
    )
    run = jax.vmap(lambda x: exponents(x, jnp.eye(2)))
    return lambda: {"exponents": first(np.asarray(run(jnp.asarray(x0))).mean(axis=0))}


@by("pynamicalsys", *HENON)
def henon_pynamicalsys(name: str) -> Job:
    from pynamicalsys import DiscreteDynamicalSystem

    x0, steps = henon_run(name)
    system, share = DiscreteDynamicalSystem(model="henon map"), max(1, len(x0) // 16)

    def job() -> dict[str, Any]:
        one_by_one = [
            system.lyapunov(x, steps + TRANSIENT, parameters=[A, B], transient_time=TRANSIENT)
            for x in x0[: max(1, len(x0) // share)]
        ]
        return {"exponents": first(np.mean(one_by_one, axis=0)), "share": share}

    return job


@by("clvlib", "henon")
def henon_clvlib(name: str) -> Job:
    from clvlib.numpy import lyap_exp_from_ic

    share, (x0, steps) = 10, henon_run(name)

    def job() -> dict[str, Any]:
        exponents = lyap_exp_from_ic(
            lambda t, s: np.array([1 - A * s[0] ** 2 + s[1], B * s[0]]),
            lambda t, s: np.array([[-2 * A * s[0], 1.0], [B, 0.0]]),
            x0[0],
            np.arange(steps // share + 1.0),
            stepper="discrete",
        )[0]
        return {"exponents": first(exponents), "share": share}

    return job


# Lorenz's flow by the classical Runge-Kutta method: all exponents.

work("lorenz", "Lorenz flow, T = 2000, RK4 with dt = 0.01, all exponents", "one trajectory", "0.906, 0, -14.57")
work("lorenz-ensemble", "Lorenz flow, 64 x T = 200, RK4 with dt = 0.01, all", "ensemble", "0.906, 0, -14.57")
LORENZ = ("lorenz", "lorenz-ensemble")
SETTLE = 100.0


def lorenz_run(name: str) -> tuple[np.ndarray, float]:
    count, time = (1, 2000.0) if name == "lorenz" else (64, 200.0)
    return np.array([1.0, 1.0, 20.0]) + np.random.default_rng(0).uniform(-1, 1, (count, 3)), time


def lorenz_spectrum(name: str, m: Any) -> Job:
    x0, time = lorenz_run(name)
    return spectrum_of(m, x0, round(time / 0.05), round(SETTLE / 0.05))


@by("lyapmap, its own map", *LORENZ)
def lorenz_catalogue(name: str) -> Job:
    import lyapmap as lm

    return lorenz_spectrum(name, lm.systems.lorenz(tau=0.05, steps=5))


@by("lyapmap, an njit function", *LORENZ)
def lorenz_njit(name: str) -> Job:
    import numba

    import lyapmap as lm

    @numba.njit
    def rate(s: np.ndarray) -> np.ndarray:
        x, y, z = s
        return np.array([SIGMA * (y - x), x * (RHO - z) - y, x * y - BETA * z])

    return lorenz_spectrum(name, lm.flow(rate, 0.05, state_shape=3, method="rk4", dt=DT))


def lorenz_in(array: Any, **options: Any) -> Any:
    """The flow of a field that is written for rows of states, in NumPy, JAX or torch."""
    import lyapmap as lm

    def rate(s: Any) -> Any:
        x, y, z = s[:, 0], s[:, 1], s[:, 2]
        return array.stack([SIGMA * (y - x), x * (RHO - z) - y, x * y - BETA * z], 1)

    return lm.flow(rate, 0.05, state_shape=3, method="rk4", dt=DT, **options)


@by("lyapmap, a NumPy function", *LORENZ)
def lorenz_numpy(name: str) -> Job:
    return lorenz_spectrum(name, lorenz_in(np))


@by("lyapmap, a JAX function", *LORENZ)
def lorenz_jax(name: str) -> Job:
    return lorenz_spectrum(name, lorenz_in(in_jax().numpy, backend="jax", dtype="float64"))


@by("lyapmap, a torch function", *LORENZ)
def lorenz_torch(name: str) -> Job:
    import torch

    return lorenz_spectrum(name, lorenz_in(torch, backend="torch", dtype="float64"))


@by("lyapmap, a TensorFlow function", *LORENZ)
def lorenz_tensorflow(name: str) -> Job:
    import tensorflow

    return lorenz_spectrum(name, lorenz_in(tensorflow, backend="tensorflow", dtype="float64"))


@by("lyapax", *LORENZ)
def lorenz_lyapax(name: str) -> Job:
    jax = in_jax()
    jnp = jax.numpy
    from lyapax import lyapunov_spectrum, ode_problem

    x0, time = lorenz_run(name)

    def rate(s: Any) -> Any:
        return jnp.array([SIGMA * (s[1] - s[0]), s[0] * (RHO - s[2]) - s[1], s[0] * s[1] - BETA * s[2]])

    def exponents(x: Any) -> Any:
        problem = ode_problem(rate, state0=x, dt=DT)
        return lyapunov_spectrum(problem, n_steps=round(time / DT), renorm_every=10, t_transient=SETTLE).exponents

    run = jax.jit(jax.vmap(exponents) if len(x0) > 1 else lambda x: exponents(x[0])[None])
    return lambda: {"exponents": first(np.asarray(run(jnp.asarray(x0))).mean(axis=0))}


@by("chaotax", *LORENZ)
def lorenz_chaotax(name: str) -> Job:
    jax = in_jax()
    jnp = jax.numpy
    import chaotax

    x0, time = lorenz_run(name)

    def rate(s: Any) -> Any:
        return jnp.array([SIGMA * (s[1] - s[0]), s[0] * (RHO - s[2]) - s[1], s[0] * s[1] - BETA * s[2]])

    def step(s: Any) -> Any:
        a = rate(s)
        b = rate(s + DT / 2 * a)
        c = rate(s + DT / 2 * b)
        return s + DT / 6 * (a + 2 * b + 2 * c + rate(s + DT * c))

    exponents = chaotax.lyapunov_spectrum(
        step, rollout_steps=round(time / DT), warmup_steps=round(SETTLE / DT), discard_steps=1000, dt=DT
    )
    run = jax.vmap(lambda x: exponents(x, jnp.eye(3)))
    return lambda: {"exponents": first(np.asarray(run(jnp.asarray(x0))).mean(axis=0))}


@by("pynamicalsys", *LORENZ)
def lorenz_pynamicalsys(name: str) -> Job:
    from pynamicalsys import ContinuousDynamicalSystem

    x0, time = lorenz_run(name)
    system = ContinuousDynamicalSystem(model="lorenz system")
    system.integrator("rk4", time_step=DT)
    share = max(1, len(x0) // 8)

    def job() -> dict[str, Any]:
        runs = [
            system.lyapunov(x, time + SETTLE, parameters=[SIGMA, RHO, BETA], transient_time=SETTLE)
            for x in x0[: max(1, len(x0) // share)]
        ]
        return {"exponents": first(np.mean(runs, axis=0)), "share": share}

    return job


@by("jitcode", "lorenz")
def lorenz_jitcode(name: str) -> Job:
    from jitcode import jitcode_lyap, y

    x0, time = lorenz_run(name)
    field = [SIGMA * (y(1) - y(0)), y(0) * (RHO - y(2)) - y(1), y(0) * y(1) - BETA * y(2)]
    system = jitcode_lyap(field, n_lyap=3)
    system.set_integrator("dopri5")

    def job() -> dict[str, Any]:
        system.set_initial_value(x0[0], 0.0)
        times = np.arange(0.1, time + SETTLE, 0.1)
        local = [system.integrate(t)[1] for t in times]
        return {"exponents": first(np.mean(np.array(local)[times > SETTLE], axis=0))}

    return job


@by("clvlib", "lorenz")
def lorenz_clvlib(name: str) -> Job:
    from clvlib.numpy import lyap_exp_from_ic

    share, time = 4, lorenz_run(name)[1]

    def job() -> dict[str, Any]:
        times = np.arange(round(time / DT) // share + 1) * DT
        start = np.array([-5.8, -6.2, 24.0])
        return {"exponents": first(lyap_exp_from_ic(lorenz_rate, lorenz_slope, start, times, stepper="rk4")[0])} | {
            "share": share
        }

    return job


def lorenz_rate(t: float, s: np.ndarray) -> np.ndarray:
    return np.array([SIGMA * (s[1] - s[0]), s[0] * (RHO - s[2]) - s[1], s[0] * s[1] - BETA * s[2]])


def lorenz_slope(t: float, s: np.ndarray) -> np.ndarray:
    return np.array([[-SIGMA, SIGMA, 0.0], [RHO - s[2], -1.0, -s[0]], [s[1], s[0], -BETA]])


# Lorenz-96: forty exponents.

work("lorenz96", "Lorenz-96, N = 40, T = 250, RK4 with dt = 0.025, all exponents", "one trajectory", "1.69; sum -40")
SITES, FORCING, SITE_DT, SITE_TIME, SITE_SETTLE = 40, 8.0, 0.025, 250.0, 25.0


def sites() -> np.ndarray:
    return FORCING + 0.1 * np.random.default_rng(0).standard_normal(SITES)


@by("lyapmap, its own map", "lorenz96")
def lorenz96_catalogue(name: str) -> Job:
    import lyapmap as lm

    return spectrum_of(lm.systems.lorenz96(), sites(), 5000, 500, n_exponents="all")


@by("lyapmap, a NumPy function", "lorenz96")
def lorenz96_numpy(name: str) -> Job:
    import lyapmap as lm

    def rate(x: np.ndarray) -> np.ndarray:
        return (np.roll(x, -1, 1) - np.roll(x, 2, 1)) * np.roll(x, 1, 1) - x + FORCING

    m = lm.flow(rate, 0.05, state_shape=SITES, method="rk4", dt=SITE_DT)
    return spectrum_of(m, sites(), 5000, 500, n_exponents="all")


@by("lyapax", "lorenz96")
def lorenz96_lyapax(name: str) -> Job:
    jax = in_jax()
    jnp = jax.numpy
    from lyapax import lyapunov_spectrum, ode_problem

    def rate(x: Any) -> Any:
        return (jnp.roll(x, -1) - jnp.roll(x, 2)) * jnp.roll(x, 1) - x + FORCING

    @jax.jit
    def run(x: Any) -> Any:
        problem = ode_problem(rate, state0=x, dt=SITE_DT)
        return lyapunov_spectrum(problem, n_steps=10_000, renorm_every=2, t_transient=SITE_SETTLE).exponents

    return lambda: {"exponents": first(run(jnp.asarray(sites())))}


@by("chaotax", "lorenz96")
def lorenz96_chaotax(name: str) -> Job:
    jnp = in_jax().numpy
    import chaotax

    def rate(x: Any) -> Any:
        return (jnp.roll(x, -1) - jnp.roll(x, 2)) * jnp.roll(x, 1) - x + FORCING

    def step(x: Any) -> Any:
        for _ in range(2):
            a = rate(x)
            b = rate(x + SITE_DT / 2 * a)
            c = rate(x + SITE_DT / 2 * b)
            x = x + SITE_DT / 6 * (a + 2 * b + 2 * c + rate(x + SITE_DT * c))
        return x

    run = chaotax.lyapunov_spectrum(step, rollout_steps=5000, warmup_steps=500, discard_steps=200, dt=2 * SITE_DT)
    return lambda: {"exponents": first(run(jnp.asarray(sites()), jnp.eye(SITES)))}


@by("pynamicalsys", "lorenz96")
def lorenz96_pynamicalsys(name: str) -> Job:
    import numba
    from pynamicalsys import ContinuousDynamicalSystem

    @numba.njit
    def rate(t: float, x: np.ndarray, p: np.ndarray) -> np.ndarray:
        n = x.size
        out = np.empty(n)
        for i in range(n):
            out[i] = (x[(i + 1) % n] - x[i - 2]) * x[i - 1] - x[i] + p[0]
        return out

    @numba.njit
    def slope(t: float, x: np.ndarray, p: np.ndarray) -> np.ndarray:
        n = x.size
        out = np.zeros((n, n))
        for i in range(n):
            out[i, (i + 1) % n] += x[i - 1]
            out[i, i - 2] -= x[i - 1]
            out[i, i - 1] += x[(i + 1) % n] - x[i - 2]
            out[i, i] -= 1.0
        return out

    system = ContinuousDynamicalSystem(
        equations_of_motion=rate, jacobian=slope, system_dimension=SITES, number_of_parameters=1
    )
    system.integrator("rk4", time_step=SITE_DT)

    def job() -> dict[str, Any]:
        whole = SITE_TIME + SITE_SETTLE
        return {"exponents": first(system.lyapunov(sites(), whole, parameters=[FORCING], transient_time=SITE_SETTLE))}

    return job


# Mackey and Glass's delay equation.

work("mackey-glass", "Mackey-Glass, delay 17, T = 10 000, four exponents", "one trajectory", "0.0070, 0, ...")
GAIN, DECAY, DELAY, HEUN = 0.2, 0.1, 17.0, 0.1


@by("lyapmap, an njit function", "mackey-glass")
def mackey_glass_njit(name: str) -> Job:
    import numba

    import lyapmap as lm

    places = round(DELAY / HEUN)

    @numba.njit
    def over_one_delay(s: np.ndarray) -> np.ndarray:
        """Heun's method on the values of one delay: what a user writes without help."""
        out = np.empty_like(s)
        out[0] = s[places]
        for j in range(places):
            now = GAIN * s[j] / (1 + s[j] ** 10) - DECAY * out[j]
            ahead = out[j] + HEUN * now
            then = GAIN * s[j + 1] / (1 + s[j + 1] ** 10) - DECAY * ahead
            out[j + 1] = out[j] + HEUN / 2 * (now + then)
        return out

    m = lm.wrap(over_one_delay, state_shape=places + 1)
    run = spectrum_of(m, np.full(places + 1, 1.2), round(10_000 / DELAY), round(1000 / DELAY), n_exponents=4)

    def job() -> dict[str, Any]:
        per_delay = run()
        return {key: [round(value / DELAY, 6) for value in values] for key, values in per_delay.items()}

    return job


@by("lyapax", "mackey-glass")
def mackey_glass_lyapax(name: str) -> Job:
    jax = in_jax()
    jnp = jax.numpy
    from lyapax import systems
    from lyapax.dde import dde_problem, lyapunov_spectrum_dde

    field = systems.mackey_glass(beta=GAIN, gamma=DECAY, n=10.0)

    @jax.jit
    def run(x: Any) -> Any:
        problem = dde_problem(field, state0=x, tau=DELAY, dt=HEUN, integrator="heun")
        return lyapunov_spectrum_dde(problem, n_steps=100_000, k=4, renorm_every=50, t_transient=1000.0).exponents

    return lambda: {"exponents": first(run(jnp.array([1.2])))}


@by("jitcdde", "mackey-glass")
def mackey_glass_jitcdde(name: str) -> Job:
    from jitcdde import jitcdde_lyap, t, y

    late = y(0, t - DELAY)
    system = jitcdde_lyap([GAIN * late / (1 + late**10) - DECAY * y(0)], n_lyap=4)
    system.compile_C()

    def job() -> dict[str, Any]:
        system.purge_past()
        system.constant_past([1.2], 0.0)
        system.step_on_discontinuities()
        local, weights = [], []
        for time in np.arange(system.t + 5, system.t + 11_000, 5):
            _, exponents, weight = system.integrate(time)
            if time > 1000:
                local.append(exponents)
                weights.append(weight)
        return {"exponents": first(np.average(local, axis=0, weights=weights))}

    return job


# A random network: the leading exponents.

work("tanh-network", "random tanh network, N = 256, k = 16, 2000 steps", "one trajectory", "first 0.06")
work("tanh-networks", "random tanh network, N = 256, k = 16, 16 x 500 steps", "ensemble", "first 0.06")
NETWORKS = ("tanh-network", "tanh-networks")
UNITS, LEADING = 256, 16


def network_run(name: str) -> tuple[np.ndarray, np.ndarray, int]:
    count, steps = (1, 2000) if name == "tanh-network" else (16, 500)
    weights = np.random.default_rng(0).standard_normal((UNITS, UNITS)) * 1.5 / np.sqrt(UNITS)
    return weights, np.random.default_rng(1).standard_normal((count, UNITS)), steps


def network_spectrum(name: str, m: Any) -> Job:
    _, x0, steps = network_run(name)
    return spectrum_of(m, x0, steps, 500, n_exponents=LEADING)


@by("lyapmap, its own map", *NETWORKS)
def network_catalogue(name: str) -> Job:
    import lyapmap as lm

    return network_spectrum(name, lm.systems.random_tanh_network(n=UNITS, g=1.5, seed=0))


@by("lyapmap, a torch function", *NETWORKS)
def network_torch(name: str) -> Job:
    import torch

    import lyapmap as lm

    weights = torch.tensor(network_run(name)[0])
    layer = torch.nn.Linear(UNITS, UNITS, bias=False, dtype=torch.float64)
    layer.weight.data = weights
    return network_spectrum(name, lm.wrap(torch.nn.Sequential(torch.nn.Tanh(), layer).eval(), state_shape=UNITS))


@by("lyapmap, a JAX function", *NETWORKS)
def network_jax(name: str) -> Job:
    jnp = in_jax().numpy
    import lyapmap as lm

    weights = jnp.asarray(network_run(name)[0])
    m = lm.wrap(lambda x: jnp.tanh(x) @ weights.T, backend="jax", state_shape=UNITS, dtype="float64")
    return network_spectrum(name, m)


def network_by_lyapax(name: str, every: int) -> Job:
    jax = in_jax()
    jnp = jax.numpy
    from lyapax import lyapunov_spectrum

    weights, x0, steps = network_run(name)
    matrix = jnp.asarray(weights)

    def exponents(x: Any) -> Any:
        return lyapunov_spectrum(
            lambda s: matrix @ jnp.tanh(s),
            state0=x,
            dt=1.0,
            n_steps=steps,
            k=LEADING,
            renorm_every=every,
            t_transient=500.0,
        ).exponents

    run = jax.jit(jax.vmap(exponents) if len(x0) > 1 else lambda x: exponents(x[0])[None])
    return lambda: {"exponents": first(np.asarray(run(jnp.asarray(x0))).mean(axis=0))}


@by("lyapax, QR at each step", *NETWORKS)
def network_lyapax(name: str) -> Job:
    return network_by_lyapax(name, 1)


@by("lyapax, QR at each tenth step", *NETWORKS)
def network_lyapax_seldom(name: str) -> Job:
    return network_by_lyapax(name, 10)


@by("chaotax", "tanh-network")
def network_chaotax(name: str) -> Job:
    jax = in_jax()
    jnp = jax.numpy
    import chaotax

    weights, x0, steps = network_run(name)
    matrix = jnp.asarray(weights)
    run = chaotax.lyapunov_spectrum(
        lambda s: matrix @ jnp.tanh(s),
        rollout_steps=steps,
        warmup_steps=500,
        discard_steps=500,
        num_exponents=LEADING,
    )
    directions = jax.random.normal(jax.random.PRNGKey(0), (LEADING, UNITS))
    return lambda: {"exponents": first(run(jnp.asarray(x0[0]), directions))}


@by("clvlib", "tanh-network")
def network_clvlib(name: str) -> Job:
    from clvlib.numpy import lyap_exp_from_ic

    weights, x0, steps = network_run(name)
    share = 4

    def job() -> dict[str, Any]:
        x = x0[0]
        for _ in range(500):
            x = weights @ np.tanh(x)
        exponents = lyap_exp_from_ic(
            lambda t, s: weights @ np.tanh(s),
            lambda t, s: weights * (1 - np.tanh(s) ** 2),
            x,
            np.arange(steps // share + 1.0),
            stepper="discrete",
            n_lyap=LEADING,
        )[0]
        return {"exponents": first(exponents), "share": share}

    return job


# A map of many coordinates, whose Jacobian nobody would want to see.

work("ring", "ring of 1500 coupled maps, 100 steps, four exponents", "one trajectory", "first 0.4 to 0.6")


def ring_spectrum(m: Any) -> Job:
    return spectrum_of(m, np.random.default_rng(0).uniform(-0.5, 0.5, (1, 1500)), 100, 20, n_exponents=4)


@by("lyapmap, a NumPy function", "ring")
def ring_numpy(name: str) -> Job:
    import lyapmap as lm

    def ring(s: np.ndarray) -> np.ndarray:
        y = 1 - 1.9 * s**2
        return 0.8 * y + 0.1 * (np.roll(y, 1, axis=1) + np.roll(y, -1, axis=1))

    return ring_spectrum(lm.wrap(ring, state_shape=1500))


@by("lyapmap, an njit function", "ring")
def ring_njit(name: str) -> Job:
    import numba

    import lyapmap as lm

    @numba.njit
    def ring(s: np.ndarray) -> np.ndarray:
        n = s.shape[0]
        y = 1 - 1.9 * s**2
        out = np.empty(n)
        for i in range(n):
            out[i] = 0.8 * y[i] + 0.1 * (y[i - 1] + y[(i + 1) % n])
        return out

    return ring_spectrum(lm.wrap(ring, state_shape=1500))


# Covariant vectors.

work("covariant-henon", "covariant vectors of Hénon, 20 000 steps", "one trajectory", "mean angle 54.0 degrees")
work("covariant-lorenz", "covariant vectors of Lorenz, 20 000 steps of 0.01", "one trajectory", "three vectors")
work("covariant-ensemble", "covariant vectors of Hénon, 64 x 2000 steps", "ensemble", "mean angle 54.0 degrees")
COVARIANT = ("covariant-henon", "covariant-lorenz", "covariant-ensemble")


def angle(vectors: np.ndarray) -> dict[str, Any]:
    """Mean angle in degrees between the first two of unit vectors (t, n, k)."""
    cosines = np.abs((vectors[..., 0] * vectors[..., 1]).sum(axis=-1))
    return {"mean_angle": round(float(np.degrees(np.arccos(np.minimum(cosines, 1))).mean()), 2)}


@by("lyapmap, its own map", *COVARIANT)
def covariant_catalogue(name: str) -> Job:
    import lyapmap as lm

    m = lm.systems.lorenz(tau=DT, steps=1) if name == "covariant-lorenz" else lm.systems.henon()
    x0: Any = {"covariant-henon": [0.1, 0.1], "covariant-lorenz": [-5.8, -6.2, 24.0]}.get(name, m.initial_states(64, 0))
    steps = 2000 if name == "covariant-ensemble" else 20_000
    return lambda: angle(lm.covariant_vectors(m, x0, n_steps=steps, transient=1000, seed=0, throw=False).vectors)


@by("lyapmap, a NumPy function", *COVARIANT)
def covariant_numpy(name: str) -> Job:
    import lyapmap as lm

    if name == "covariant-lorenz":

        def rate(s: np.ndarray) -> np.ndarray:
            x, y, z = s.T
            return np.stack([SIGMA * (y - x), x * (RHO - z) - y, x * y - BETA * z], axis=1)

        m, x0 = lm.flow(rate, DT, state_shape=3, method="rk4", dt=DT), np.array([-5.8, -6.2, 24.0])
    else:

        def henon(s: np.ndarray) -> np.ndarray:
            return np.stack([1 - A * s[:, 0] ** 2 + s[:, 1], B * s[:, 0]], axis=1)

        m, x0 = lm.wrap(henon, state_shape=2), lm.systems.henon().initial_states(64, 0)
        x0 = np.array([0.1, 0.1]) if name == "covariant-henon" else x0
    steps = 2000 if name == "covariant-ensemble" else 20_000
    return lambda: angle(lm.covariant_vectors(m, x0, n_steps=steps, transient=1000, seed=0, throw=False).vectors)


@by("pynamicalsys", *COVARIANT)
def covariant_pynamicalsys(name: str) -> Job:
    from pynamicalsys import ContinuousDynamicalSystem, DiscreteDynamicalSystem

    if name == "covariant-lorenz":
        flow = ContinuousDynamicalSystem(model="lorenz system")
        flow.integrator("rk4", time_step=DT)
        times = {"transient_time": 10.0, "warmup_time": 10.0, "tail_time": 10.0}
        return lambda: angle(np.asarray(flow.CLV([-5.8, -6.2, 24.0], 200.0, parameters=[SIGMA, RHO, BETA], **times)[0]))
    henon = DiscreteDynamicalSystem(model="henon map")
    steps = {"transient_time": 1000, "warmup_time": 1000, "tail_time": 1000}
    count, length = (1, 20_000) if name == "covariant-henon" else (64, 2000)
    x0 = np.random.default_rng(0).uniform(0, 0.1, (count, 2))

    def job() -> dict[str, Any]:
        vectors = [np.asarray(henon.CLV(x, length, parameters=[A, B], **steps)[0]) for x in x0]
        return angle(np.concatenate(vectors))

    return job


@by("clvlib", "covariant-henon", "covariant-lorenz")
def covariant_clvlib(name: str) -> Job:
    from clvlib.numpy import lyap_analysis_from_ic

    count = 22_001
    arguments: tuple[Any, ...] = (
        lambda t, s: np.array([1 - A * s[0] ** 2 + s[1], B * s[0]]),
        lambda t, s: np.array([[-2 * A * s[0], 1.0], [B, 0.0]]),
        np.array([0.1, 0.1]),
        np.arange(float(count)),
    )
    stepper = "discrete"
    if name == "covariant-lorenz":
        arguments = (lorenz_rate, lorenz_slope, np.array([-5.8, -6.2, 24.0]), np.arange(count) * DT)
        stepper = "rk4"
    return lambda: angle(np.asarray(lyap_analysis_from_ic(*arguments, stepper=stepper)[4])[1000:-1000])


# Points: dimensions, precision and recall.

work("twonn", "TwoNN, 10 000 points on a 10-sphere", "points", "10")
work("twonn-and-gride", "TwoNN and Gride, 10 000 points on a 10-sphere", "points", "10")
DIMENSIONS = ("twonn", "twonn-and-gride")


def sphere() -> np.ndarray:
    points = np.random.default_rng(0).standard_normal((10_000, 11))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@by("lyapmap", *DIMENSIONS)
def dimension_lyapmap(name: str) -> Job:
    import lyapmap as lm

    points, methods = sphere(), ["twonn"] if name == "twonn" else ["twonn", "gride"]

    def job() -> dict[str, Any]:
        estimates = lm.intrinsic_dimension(points, method=methods)
        return {method: first([e.dimension, e.stderr]) for method, e in estimates.items()}

    return job


@by("scikit-dimension", "twonn")
def dimension_skdim(name: str) -> Job:
    import skdim

    points = sphere()
    return lambda: {"twonn": first(skdim.id.TwoNN().fit(points).dimension_)}


@by("dadapy", *DIMENSIONS)
def dimension_dadapy(name: str) -> Job:
    from dadapy import Data

    points = sphere()

    def job() -> dict[str, Any]:
        data = Data(points.copy(), n_jobs=1)
        data.compute_distances(maxk=3 if name == "twonn" else 70)
        answer = {"twonn": first(data.compute_id_2NN()[:2])}
        if name != "twonn":
            answer["gride"] = first(data.return_id_scaling_gride(range_max=64)[0], 7)
        return answer

    return job


work("precision-recall", "precision, recall, density, coverage, 2 x 5000 points of 64 values", "points", "equal values")


def clouds() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.standard_normal((5000, 64)), 0.95 * rng.standard_normal((5000, 64))


@by("lyapmap", "precision-recall")
def precision_lyapmap(name: str) -> Job:
    import lyapmap as lm

    real, generated = clouds()

    def job() -> dict[str, Any]:
        metrics = lm.manifold_metrics(real, generated, k=(5,))
        return {key: first(getattr(metrics, key)) for key in ("precision", "recall", "density", "coverage")}

    return job


@by("prdc", "precision-recall")
def precision_prdc(name: str) -> Job:
    import contextlib
    import io

    from prdc import compute_prdc

    real, generated = clouds()

    def job() -> dict[str, Any]:
        with contextlib.redirect_stdout(io.StringIO()):
            return {key: first(value) for key, value in compute_prdc(real, generated, nearest_k=5).items()}

    return job


# The largest exponent of a series of numbers.

work("series", "largest exponent of a Hénon series, 5000 values", "points", "0.419")


def series() -> np.ndarray:
    values, x, y = np.empty(5000), 0.1, 0.1
    for i in range(-1000, 5000):
        x, y = 1 - A * x * x + y, B * x
        if i >= 0:
            values[i] = x
    return values


@by("lyapmap", "series")
def series_lyapmap(name: str) -> Job:
    import lyapmap as lm

    values = series()

    def job() -> dict[str, Any]:
        estimate = lm.from_series(values)
        return {"exponent": first([estimate.exponent, estimate.stderr])}

    return job


@by("neurokit2", "series")
def series_neurokit(name: str) -> Job:
    import neurokit2

    values = series()
    return lambda: {"exponent": first(neurokit2.complexity_lyapunov(values)[0])}
