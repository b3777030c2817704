"""`lyapmap manifold`, `embed`, `transitions`, `memorization`: generated samples beside real ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lyapmap.cli import show
from lyapmap.cli.command import LAYOUT, SAMPLES, WHOLE, From, Numbers, Run, UsageError, command
from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    from rich.table import Table

    from lyapmap.analysis.manifold.along import ManifoldAlong
    from lyapmap.analysis.manifold.embedding import EmbeddedStates, Embedding
    from lyapmap.analysis.manifold.memorization import Memorization
    from lyapmap.analysis.manifold.metrics import ManifoldMetrics
    from lyapmap.analysis.manifold.transitions import Transitions

STEPS = 1000
"""Of one embedded trajectory, if neither --steps nor --at is given."""
ENSEMBLE = 1000
"""Embedded trajectories at most by default, if --at is given."""
WIDEST = 3
"""Categories up to which the matrix of transitions is printed."""
WITHOUT = ("x0", "data", "classes", "trajectories")
"""Options of a map's initial states, where those are samples of real data."""


@dataclass(frozen=True)
class Ranges(Numbers):
    """Numbers as `--k 3`, `--k 3,5,10` and `--k 1-10` give them."""

    def __call__(self, text: str) -> tuple[int, ...]:
        """The numbers, of ranges all of them."""
        numbers: list[int] = []
        for part in text.split(","):
            low, dash, high = part.strip().partition("-")
            try:
                numbers += range(int(low), int(high) + 1) if dash else [int(low)]
            except ValueError:
                raise UsageError(f"expected numbers like 3,5,10 or 1-10, got {text!r}") from None
        if not numbers:
            raise UsageError(f"{text!r} holds no number")
        return tuple(numbers)


@command(
    "lyapmap.analysis.manifold.along:manifold_along",
    group="measure",
    source=From(optional=True, without=WITHOUT),
    reads={"k": Ranges(int, "K|K-K|K,K,...")},
    names={"k": "--k"},
    shown={
        "n_steps": "10; over trajectories as many as samples",
        "trajectories": "all over steps; 8 over trajectories",
        "features": "classifier if one is shipped, else pixels",
    },
    panels={SAMPLES: "real generated classes samples trajectories"},
    examples="""
lyapmap manifold cycle-mnist-012 --real mnist --classes 0,1,2 --k 7 --steps 10 --out report
lyapmap manifold cycle-mnist-012 --real mnist --classes 0,1,2 --over trajectories --k 1-10
lyapmap manifold --real real.npy --generated generated.npy --k 3,5,10 --json
""",
)
def manifold(
    run: Run,
    *,
    real: str,
    generated: Path | None = None,
    classes: tuple[int, ...] | None = None,
    samples: int | None = None,
    trajectories: int | None = None,
    features: str | None = None,
    weights: Path | None = None,
) -> int:
    """Precision, recall, density and coverage of generated samples, along a map or from a file.

    Over steps, the states of all trajectories at one step are compared with the real samples; over trajectories, the
    states of each. A reference row compares as many training images.

    Parameters
    ----------
    real : NAME|FOLDER|FILE
        Data set or file of real samples.
    generated : FILE
        Generated samples, instead of a map.
    classes : N[,N...]
        Only these classes of --real.
    samples : N, at least 2
        Real samples at most; all by default.
    trajectories : N, at least 1
        Started from real samples.
    features : NAME|FILE
        What samples are compared by: pixels, classifier, random-vgg, vgg16, or a trained classifier.
    weights : FILE
        File of weights for vgg16.
    """
    from lyapmap.analysis.manifold.metrics import RealManifold
    from lyapmap.cli.samples import features_of, initial_states, one_of, read_numbers, real_samples

    source, seed, k, over = run.source, run.seed, run.values["k"], run.values["over"]
    one_of(source, generated, "--generated")
    tangent_map = None if source is None else source.map
    given = real_samples(real, classes, samples, seed, tangent_map, changed=run.images)
    embed = features_of(features, given, weights, tangent_map)
    side = RealManifold(given.points, k=k, features=embed, progress=run.progress)
    if generated is not None:
        other = read_numbers(generated, "--generated")
        options = {name: run.values[name] for name in ("compare", "level")}
        metrics = run.complete(lambda: side.compare(other, **options, seed=seed, progress=run.progress, throw=False))
        title = f"Manifold metrics of {generated.name} against {given.words}"
        facts = _about_metrics(metrics, str(metrics.settings["features"] or "values as they are"))
        return run.show(metrics, title, facts, table=_table_of_k, source=None)
    start, words = initial_states(source, given, trajectories, over, seed)
    steps = run.values["n_steps"]
    along = run(
        side,
        source.map,
        start,
        n_steps=(10 if over == "steps" else side.n - 1) if steps is None else steps,
        reference=given.others,
    )
    facts = [
        ("started from", words),
        ("samples", f"{along.n_real} real, {along.n_generated} generated in each comparison"),
        ("features", str(along.settings["features"] or "values as they are")),
    ]
    return run.show(
        along, f"Manifold metrics of {source.name} against {given.words}", facts, table=_table_along, source=None
    )


def _about_metrics(metrics: ManifoldMetrics, features: str) -> list[tuple[str, str]]:
    return [
        ("samples", f"{metrics.n_real} real, {metrics.n_generated} generated"),
        ("duplicates", f"{metrics.duplicates_real} real, {metrics.duplicates_generated} generated"),
        ("features", features),
        ("limits", f"{metrics.settings['level']:.0%}, of the samples scored; how spheres vary is not in them"),
    ]


def _table_of_k(metrics: ManifoldMetrics) -> Table:
    table = show.make_table("k", "precision", "recall", "density", "coverage", "prob. precision", "prob. recall")
    names = ("precision", "recall", "density", "coverage", "probabilistic_precision", "probabilistic_recall")
    for place, k in enumerate(metrics.k):
        cells = []
        for name in names:
            low, high = getattr(metrics, f"{name}_interval")[place]
            cells.append(f"{getattr(metrics, name)[place]:.4f} ({low:.3f} to {high:.3f})")
        table.add_row(str(k), *cells)
    return table


def _table_along(along: ManifoldAlong) -> Table:
    """Over steps, a row for each step and k; over trajectories, means and standard deviations for each k."""
    names = ("precision", "recall", "density", "coverage")
    steps = along.over == "steps"
    table = show.make_table(*(["step"] if steps else []), "k", *names)
    for place, at in enumerate(along.at if steps else ()):
        for which, k in enumerate(along.k):
            cells = [f"{getattr(along, name)[place, which]:.4f}" for name in names]
            table.add_row(str(at), str(k), *cells)
    for which, k in enumerate(() if steps else along.k):
        values = [getattr(along, name)[:, which] for name in names]
        table.add_row(str(k), *(f"{v.mean():.3f} ± {v.std():.3f}" if len(v) else "-" for v in values))
    for which, k in enumerate(along.k if len(along.reference_precision) else ()):
        cells = [f"{getattr(along, f'reference_{name}')[0, which]:.4f}" for name in names]
        table.add_row(*(["reference", str(k)] if steps else [f"ref. {k}"]), *cells, style="dim")
    return table


@command(
    "lyapmap.analysis.manifold.memorization:memorization",
    group="measure",
    source=From(optional=True, without=WITHOUT),
    shown={
        "held_out": "test images; without, training samples among themselves",
        "trajectories": "100, or as many as there are",
    },
    panels={SAMPLES: "data classes held_out generated trajectories"},
    examples="""
lyapmap memorization cycle-mnist-012 --data mnist --classes 0,1,2 --out report
lyapmap memorization cycle-digits-012 --data digits --classes 0,1,2 -b 60 --steps 5
lyapmap memorization --data training.npy --held-out held_out.npy --generated generated.npy --json
""",
)
def memorization(
    run: Run,
    *,
    data: str,
    classes: tuple[int, ...] | None = None,
    held_out: Path | None = None,
    generated: Path | None = None,
    trajectories: int | None = None,
    features: str = "pixels",
    weights: Path | None = None,
    n_steps: int = 9,
    transient: int = 20,
) -> int:
    """Distances of generated samples to the training data, against those of samples never trained on.

    Parameters
    ----------
    data : NAME|FOLDER|FILE
        Data set or file of training samples.
    classes : N[,N...]
        Only these classes of --data.
    held_out : FILE
        Samples not trained on.
    generated : FILE
        Generated samples, instead of a map.
    trajectories : N, at least 1
        Started from held-out or training samples.
    features : NAME|FILE
        What samples are compared by: pixels, classifier, random-vgg, vgg16, or a trained classifier.
    weights : FILE
        File of weights for vgg16.
    n_steps : N, at least 0
        Steps to take states from.
    transient : N, at least 0
        Steps before.
    """
    from lyapmap.cli.samples import features_of, generated_samples, one_of, training_samples

    source = run.source
    one_of(source, generated, "--generated")
    tangent_map = None if source is None else source.map
    training, others = training_samples(data, classes, held_out, tangent_map, changed=run.images)
    embed = features_of(features, training, weights, tangent_map)
    samples, words = generated_samples(
        source,
        generated,
        training,
        others,
        trajectories=trajectories,
        steps=n_steps,
        transient=transient,
        seed=run.seed,
    )
    result = run(samples, training.points, held_out=others, features=embed)
    facts = [("generated", words), *_about_copies(result)]
    return run.show(result, f"Memorization of {training.words}", facts, source=None)


def _about_copies(result: Memorization) -> list[tuple[str, str]]:
    low, high = result.closer_interval
    among = "held-out samples" if result.settings["reference"] == "held out" else "training samples among themselves"
    median = sorted(result.distance)[len(result.distance) // 2]
    return [
        ("samples", f"{result.settings['n_training']} training, {len(result.distance)} generated"),
        ("reference", f"{len(result.reference_distance)} {among}"),
        ("features", str(result.settings["features"] or "values as they are")),
        ("copies", f"{result.copies} exact, nearest at {result.distance.min():.4g}, median {median:.4g}"),
        (
            "close",
            f"{result.closer:.4f} ({low:.4f} to {high:.4f}) within {result.threshold:.4g}, "
            f"of the reference {result.settings['quantile']:g}",
        ),
        ("preference", f"{result.preference:.4f} that a generated sample is nearer than one of the reference"),
        ("p value", f"{result.p_value:.2g} (Mann-Whitney), {result.p_value_ks:.2g} (Kolmogorov-Smirnov)"),
    ]


@command(
    "lyapmap.analysis.manifold.transitions:transitions",
    group="measure",
    source=From(optional=True),
    reads={"order": WHOLE, "categories": WHOLE},
    usual={"n_steps": {"map": 10_000, "callable": 10_000, "model": 300}},
    examples="""
lyapmap transitions cycle-mnist-012 --order 0,1,2 --steps 300 --out report
lyapmap transitions cycle-digits-012 --classifier classifier.pt
lyapmap transitions logistic -p r=4 --threshold 0.5
lyapmap transitions --labels labels.npy --json
""",
)
def transitions(
    run: Run,
    *,
    labels: Path | None = None,
    classifier: str | None = None,
    threshold: tuple[float, ...] | None = None,
    component: int = 0,
    n_steps: int,
    transient: int = 0,
) -> int:
    """Categories along trajectories: transition matrix, how often a cycle holds, stays, entropy rate.

    Parameters
    ----------
    labels : FILE
        Categories 0, 1, ..., a row a trajectory, instead of a map.
    classifier : NAME|FILE
        A shipped or trained classifier of images; the one shipped for the model's data by default.
    threshold : X[,X...]
        Categories are the intervals between these values.
    component : N, at least 0
        Component of the state, for --threshold.
    n_steps : N, at least 1
        Steps to record.
    transient : N, at least 0
        Steps before that.
    """
    from lyapmap.analysis.orbits.trajectory import trajectory
    from lyapmap.cli.samples import classifier_of, of_orbit, one_of, read_numbers

    source = run.source
    one_of(source, labels, "--labels")
    classify = classifier_of(source, classifier, threshold, component, run.values["device"])
    states: Any
    if labels is not None:
        states, name = read_numbers(labels, "--labels"), labels.name
        if states.dtype.kind == "f" and (states == states.round()).all():
            states = states.astype(int)  # a table of text has no integers
    else:
        # What Ctrl-C leaves of the states is analysed all the same.
        states, name = (
            run.complete(
                lambda: trajectory(
                    source.map, source.x0, n_steps=n_steps, transient=transient, progress=run.progress, throw=False
                )
            ),
            source.name,
        )
    cut = run.interrupted
    result = of_orbit(run(states, classify), states, cut)
    return run.show(result, f"Transitions of {name}", _about_transitions(result), table=_transitions_table)


def _about_transitions(result: Transitions) -> list[tuple[str, str]]:
    low, high = result.accuracy_interval
    accuracy = "no order is followed more often than chance would"
    if len(result.order):
        cycle = " → ".join(map(str, [*result.order, result.order[0]]))
        asked = "" if result.settings["order"] == "given" else ", the commonest order"
        accuracy = f"{result.accuracy:.4f} ({low:.4f} to {high:.4f}) of {cycle}{asked}"
    best = f"{int(result.cycles.max()) if len(result.cycles) else 0} whole cycles" if len(result.order) else "-"
    b, n = result.labels.shape
    facts = [
        ("states", f"{b} x {n}"),
        ("cycle accuracy", accuracy),
        ("longest run", best),
        ("entropy rate", f"{show.pair(result.entropy_rate, result.entropy_stderr)} nats {result.unit}"),
        (
            "with memory",
            ", ".join(f"{rate:.4f}" for rate in result.memory_rates[:5]) + " given the 0, 1, ... categories before",
        ),
    ]
    if result.settings["classify"]:
        facts.insert(1, ("categories by", str(result.settings["classify"])))
    return facts


def _transitions_table(result: Transitions) -> Table:
    """The matrix where it fits into a terminal, else what follows most often."""
    wide = len(result.categories) > WIDEST
    middle = ["followed by"] if wide else [f"to {c}" for c in result.categories]
    table = show.make_table("from", *middle, "part", "stationary", "dwell")
    for place, category in enumerate(result.categories):
        row, errors = result.matrix[place], result.matrix_stderr[place]
        if wide:
            often = [i for i in (-row).argsort(kind="stable")[:4] if row[i] > 0]
            cells = [", ".join(f"{result.categories[i]} ({row[i]:.2f})" for i in often) or "-"]
        else:
            cells = ["-" if p != p else f"{p:.3f} ± {error:.3f}" for p, error in zip(row, errors, strict=True)]
        ends = (result.occupation[place], 3), (result.stationary[place], 3), (result.dwell_mean[place], 2)
        table.add_row(str(category), *cells, *(_or_dash(value, decimals) for value, decimals in ends))
    return table


def _or_dash(value: float, decimals: int) -> str:
    return "-" if value != value else f"{value:.{decimals}f}"


@command(
    "lyapmap.analysis.manifold.embedding:embed",
    group="look",
    source=From(optional=True, without=WITHOUT),
    hides=("n_components",),
    shown={"trajectories": "1; with --at all, at most 1000", "n_steps": "1000"},
    panels={
        SAMPLES: "real classes samples fitted generated trajectories start",
        LAYOUT: "n_neighbors min_dist metric approximate",
    },
    examples="""
lyapmap embed cycle-mnist-012 --real mnist --classes 0,1,2 --steps 3000 --out report
lyapmap embed cycle-mnist-012 --fitted report/fitted.nc --real mnist --start 0 --at 0,1,2,3,10,30 --out panels
lyapmap embed --real data.npy --generated generated.npy --json
""",
)
def embed(
    run: Run,
    *,
    real: str | None = None,
    classes: tuple[int, ...] | None = None,
    samples: int | None = None,
    fitted: Path | None = None,
    generated: Path | None = None,
    trajectories: int | None = None,
    start: tuple[int, ...] | None = None,
    n_steps: int | None = None,
    at: tuple[int, ...] | None = None,
    transient: int = 0,
) -> int:
    """Lay data out in the plane by UMAP and show where a map, or a file of points, lies among them.

    The layout is of training images; trajectories start from test images. --out also holds fitted.nc, which --fitted
    takes instead of fitting again.

    Parameters
    ----------
    real : NAME|FOLDER|FILE
        Data set or file of samples to lay out.
    classes : N[,N...]
        Only these classes of --real.
    samples : N, at least 4
        Training images at most; all by default.
    fitted : FILE
        A layout made before, fitted.nc.
    generated : FILE
        Points in order, instead of a map.
    trajectories : N, at least 1
        Started from test images of --real.
    start : N[,N...]
        Start from these classes only.
    n_steps : N, at least 1
        One picture of so many steps.
    at : N,N,...
        Or a panel for each of these steps.
    transient : N, at least 0
        Steps before --steps.
    """
    from lyapmap.cli.samples import iterated, of_orbit, read_numbers

    source = run.source
    if source is not None and generated is not None:
        raise LyapmapError("expected a map (--map, --model or --callable) or --generated, got both")
    if n_steps is not None and at is not None:
        raise LyapmapError("--steps and --at: expected one of them, got both")
    layout, words = _layout(run, real, classes, samples, fitted)
    facts = [("layout of", words)]
    result: EmbeddedStates
    if source is None:
        states = None if generated is None else read_numbers(generated, "--generated")
        result = layout.place(layout.points[:0] if states is None else states, at=at)
    else:
        x0, origin = _start(run, layout, real, classes, start, trajectories, 1 if at is None else ENSEMBLE)
        facts.append(("started from", origin))
        if at is None:
            steps = STEPS if n_steps is None else n_steps
            orbit = run.complete(lambda: iterated(source, x0, steps=steps, transient=transient, progress=run.progress))
            result = of_orbit(layout.place(orbit), orbit, run.interrupted)
        else:
            result = layout.along(source.map, x0, at=at, progress=run.progress)
    if run.out is not None and fitted is None:
        layout.save(run.out / "fitted.nc")
    name = source.name if source is not None else generated.name if generated is not None else words
    facts += _about_layout(result, layout)
    return run.show(result, f"Embedding of {name}", facts, name="embedding", source=None)


def _layout(
    run: Run, real: str | None, classes: tuple[int, ...] | None, samples: int | None, fitted: Path | None
) -> tuple[Embedding, str]:
    """A layout that was saved, or one of a data set or file, and what it is of."""
    from dataclasses import replace

    import numpy as np

    from lyapmap.analysis.manifold.embedding import Embedding, embed
    from lyapmap.cli.samples import some, training_samples

    if fitted is not None:
        if samples is not None or run.given & set(run.options()):
            raise LyapmapError("--fitted: a layout that is made has its samples, neighbours and metric already")
        layout = Embedding.load(fitted)
        return layout, f"{len(layout.data)} points, {fitted}"
    if real is None:
        raise LyapmapError("expected --real, which is laid out, or --fitted, got none")
    tangent_map = None if run.source is None else run.source.map
    training, _ = training_samples(real, classes, None, tangent_map, "--real", changed=run.images)
    keep = some(range(len(training.points)), samples, run.seed)
    labels = None if training.labels is None else training.labels[keep]
    layout = embed(training.points[keep], labels=labels, seed=run.seed, progress=run.progress, **run.options())
    if labels is not None and training.class_names:
        words = tuple(training.class_names[int(label)] for label in np.unique(labels))
        layout = replace(layout, label_names=words)
    return layout, f"{len(keep)} of {training.words}"


def _start(
    run: Run,
    layout: Embedding,
    real: str | None,
    classes: tuple[int, ...] | None,
    start: tuple[int, ...] | None,
    trajectories: int | None,
    usual: int,
) -> tuple[Any, str]:
    """Initial states among test images, else among the points laid out."""
    import numpy as np

    from lyapmap.cli.samples import held_out_images, states_among

    source = run.source
    wanted = start or classes or tuple(int(label) for label in np.unique(layout.labels)) or None
    points, words = (None, "") if real is None else held_out_images(real, wanted, source.map, changed=run.images)
    if points is None:
        points, words = layout.points, "points laid out"
        if start is not None:
            raise LyapmapError("--start: only with --real, a data set that has test images")
    count = min(usual, len(points)) if trajectories is None else trajectories
    return states_among(points, source, count, run.seed, "--real", words), f"{count} of {words}"


def _about_layout(result: EmbeddedStates, layout: Embedding) -> list[tuple[str, str]]:
    s = layout.settings
    b, n, _ = result.coordinates.shape
    facts = [
        ("parameters", f"{s['n_neighbors']} neighbours, min_dist {s['min_dist']:g}, {s['metric']}, seed {layout.seed}"),
        ("fitted in", f"{layout.provenance['seconds']:.1f} s"),
    ]
    if b * n:
        steps = ", ".join(map(str, result.at)) if n <= 20 else f"{result.at[0]} to {result.at[-1]}"
        facts.append(("states", f"{b} x {n}, steps {steps}"))
    return facts
