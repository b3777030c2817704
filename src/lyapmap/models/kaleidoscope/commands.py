"""Commands of kaleidoscopic networks: `lyapmap train`, `study` and `lyapmap kaleidoscope`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lyapmap.cli import show, training
from lyapmap.cli import study as studies
from lyapmap.cli.command import FIT, Numbers, Run, UsageError, command
from lyapmap.cli.options import Machine, StudyRun, TrainingRun
from lyapmap.core.errors import LyapmapError

if TYPE_CHECKING:
    from lyapmap.models.kaleidoscope.cube import KaleidoscopeCorners, KaleidoscopePlane
    from lyapmap.models.kaleidoscope.line import KaleidoscopeDepth, KaleidoscopeLine

PAPER = "lyapmap.models.kaleidoscope"
USUAL_SIZES = {"mlp": (10, 500), "conv": (4, 16), "unet": (4, 16)}
"""Depth and width of each architecture."""
FITTED = {FIT: "loss fit_steps tries"}


@command(
    f"{PAPER}.recipe:KaleidoscopeRecipe",
    training.LOOP,
    training.LAUNCH,
    usual={"epochs": 30, "monitor_every": 5},
    shown={"classes": "all", "limit": "all", "depth": "10; conv, unet: 4", "width": "500; conv, unet: 16"},
    examples="""
lyapmap train kaleidoscope --data mnist --depth 10 --width 500 --out runs/kaleidoscope
lyapmap train kaleidoscope --data cifar10 --classes 5 --limit 1000 --width 2000 --epochs 300 --out runs/dogs
lyapmap train kaleidoscope --data mnist --architecture unet --limit 1000 --out runs/unet
The same command goes on where it was stopped.
""",
)
def train_kaleidoscope(
    run: Run,
    about: TrainingRun,
    *,
    classes: tuple[int, ...] | None = None,
    limit: int | None = None,
    architecture: str = "mlp",
    depth: int | None = None,
    width: int | None = None,
    output: str = "tanh",
) -> int:
    """Train the kaleidoscopic network: images become themselves.

    The folder receives last.pt (the best model, usable as --model), log.jsonl, samples-EPOCH.png (noise iterated up to
    100 times) and training.png. Ctrl-C saves; the same command goes on.

    Parameters
    ----------
    classes : N,N[,N...]
        Categories.
    limit : N, at least 1
        Only so many images, at random.
    architecture : "mlp", "conv" or "unet"
        A perceptron, the paper's, or a convolutional network.
    depth : N, at least 1
        Hidden layers; of conv and unet those at a quarter of the size.
    width : N, at least 1
        Units of a hidden layer; of conv and unet channels at full size.
    output : "tanh" or "sigmoid"
        What bounds the output, to [-1, 1] or [0, 1].
    """
    workers = training.begin(run, about)
    from lyapmap.models.kaleidoscope.network import RANGES, KaleidoscopeConfig
    from lyapmap.models.kaleidoscope.recipe import KaleidoscopeRecipe

    usual_depth, usual_width = USUAL_SIZES[architecture]
    images = training.images_of(about, classes=classes, value_range=RANGES[output])
    if limit is not None:
        images = images.some(limit, seed=run.seed)
    config = KaleidoscopeConfig(
        images.state_shape,
        usual_depth if depth is None else depth,
        usual_width if width is None else width,
        output,
        architecture,
    )
    recipe = KaleidoscopeRecipe(
        config, images, **run.options("KaleidoscopeRecipe"), seed=run.seed, device=workers.device
    )
    return training.train(run, recipe, workers, then="kaleidoscope sample")


@command(
    further=studies.sizes(f"{PAPER}.protocol"),
    shown={
        "model": "trained first, in DIR/training",
        "classes": "those of the training",
        "train_epochs": "30",
        "depth": "10",
        "width": "500",
    },
    examples="""
lyapmap study kaleidoscope kaleidoscope-mnist --data mnist --out study
lyapmap study kaleidoscope --data digits --train-epochs 200 --depth 6 --width 100 --out study
lyapmap study kaleidoscope mlp.pt --data mnist --against conv.pt --against unet.pt --out study
The same command goes on where it was stopped; changed sizes run only the stages that depend on them.
""",
)
def study_kaleidoscope(
    run: Run,
    about: StudyRun,
    model: str | None = None,
    *,
    data: str,
    against: list[str] | None = None,
    classes: tuple[int, ...] | None = None,
    train_epochs: int | None = None,
    depth: int | None = None,
    width: int | None = None,
) -> int:
    """Samples, burn-in, fixed points, exponents under noise, categories, dimension and quality of a network.

    DIR receives index.html, study.json, figures/, results/ (each opens with lyapmap and xarray) and stages/.

    Parameters
    ----------
    model : NAME|FILE
        A trained network.
    data : NAME|FOLDER
        Data set that the network was trained on.
    against : NAME|FILE
        A further network to set beside it; repeatable.
    classes : N,N[,N...]
        Categories.
    train_epochs : N, at least 1
        Epochs of the training.
    depth : N, at least 1
        Its hidden layers.
    width : N, at least 1
        Units of each.
    """
    from lyapmap.models.kaleidoscope.subject import load_subject

    sizes = {"epochs": train_epochs, "depth": depth, "width": width}
    wanted = {name: value for name, value in sizes.items() if value is not None}
    if model is not None and wanted:
        raise LyapmapError(
            "--train-epochs, --depth and --width: only without --model, where a network is trained first"
        )

    def load(train: studies.Trained) -> object:
        from lyapmap.models.kaleidoscope.recipe import train_first

        usual = {"epochs": 30, "depth": 10, "width": 500}
        network = model or train(train_first, data=data, classes=classes, **usual | wanted)
        return load_subject(network, data=data, classes=classes, against=against or (), **about.subject)

    return studies.study(run, about, PAPER, load)


@command(
    f"{PAPER}.sampling:sample",
    names={"steps": "--steps -n"},
    hides=("keep", "value_range", "first"),
    out="samples",
    examples="""
lyapmap kaleidoscope sample kaleidoscope-mnist --out samples
lyapmap kaleidoscope sample runs/kaleidoscope/last.pt --samples 100 --steps 300 --eps 0.1 --noise normal
lyapmap kaleidoscope sample kaleidoscope-mnist --eps 0 --start normal --seed 1 --json
""",
)
def sample(run: Run, machine: Machine, model: str, *, samples: int = 64, gif: bool = True) -> int:
    """Sample a kaleidoscopic network: iterate it from noise, with a little noise after each step.

    Writes samples.npz (opens with NumPy) and, of images, strip.png (states over the steps), grid.png (after the last
    one) and kaleidoscope.gif; of points, samples.png. The same seed gives the same samples, however many.

    Parameters
    ----------
    model : NAME|FILE
        A shipped model, or a checkpoint.
    samples : N, at least 1
        How many.
    gif
        Write a film over the steps.
    """
    from lyapmap.cli.source import require_torch

    require_torch("sampling")
    from lyapmap.core.points import image_shape
    from lyapmap.files.zoo import load_model
    from lyapmap.models.kaleidoscope.pictures import save_kaleidoscope_samples
    from lyapmap.models.kaleidoscope.sampling import film_steps, usual_steps
    from lyapmap.report.style import save_figure

    loaded = load_model(model, device=machine.device)
    of_images = image_shape(tuple(loaded.map.state_shape)) is not None
    asked: dict[str, Any] = run.options()
    shown = usual_steps(asked["steps"])
    keep = sorted({*film_steps(asked["steps"]), *shown}) if gif and of_images else shown
    film = run(loaded, samples, keep=keep)
    result = film.only([step for step in shown if step <= film.steps[-1]])
    files = [result.save(run.folder / "samples.npz")]
    if of_images:
        files += save_kaleidoscope_samples(run.folder, result, film if gif else None)
    else:
        files.append(save_figure(result.plot(), run.folder / "samples.png"))
    eps, start, noise = asked["eps"], asked["start"], asked["noise"]
    shaken = f"{noise} noise of {eps:g} after each" if eps else "no noise between them"
    words = f"{loaded.name}: {samples} samples, {int(film.steps[-1])} steps from {start} noise, {shaken}"
    return show.files_written(run, result, words, files, without=("states",))


@command(
    f"{PAPER}.line:kaleidoscope_line",
    panels=FITTED,
    shown={"points": "the paper's four settings", "depth": "2", "width": "5", "output": "sigmoid"},
    examples="""
lyapmap kaleidoscope line --out line
lyapmap kaleidoscope line --points 0.2,0.8 --depth 7 --width 5 --json
lyapmap kaleidoscope line --points -0.8,-0.2,0.2,0.8 --depth 10 --width 10 --output tanh --seed 1
""",
)
def line(
    run: Run,
    *,
    points: tuple[float, ...] | None = None,
    depth: int | None = None,
    width: int | None = None,
    output: str | None = None,
    seed: int = 0,
) -> int:
    """Points on a line: loss and output over the whole range, samples, fixed points and basins (Fig. 2, 3, 4).

    Without --points, the paper's four networks, in one figure.

    Parameters
    ----------
    points : X,X[,X...]
        To learn.
    depth : N, at least 1
        Hidden layers, with --points.
    width : N, at least 1
        Units of each, with --points.
    output : "sigmoid" or "tanh"
        For points in [0, 1] or in [-1, 1].
    seed : N, at least 0
        Of everything that is random.
    """
    from lyapmap.cli.source import require_torch

    require_torch("the fit")
    from lyapmap.models.kaleidoscope.line import PAPER as LINES
    from lyapmap.models.kaleidoscope.line import LineSetting

    settings = _settings(LINES, LineSetting, points, depth=depth, width=width, output=output)
    result = run(settings)
    return run.show(result, "Kaleidoscopes on a line", _line_facts(result), table=_line_table)


def _settings(paper: Any, setting: Any, points: Any, **sizes: Any) -> Any:
    """The paper's settings, or one of points that were given."""
    given = {name: value for name, value in sizes.items() if value is not None}
    if points is None and given:
        *names, last = [f"--{name}" for name in sizes]
        raise LyapmapError(f"{', '.join(names)} and {last}: only together with --points")
    return paper if points is None else (setting(points, **given),)


def _line_table(result: KaleidoscopeLine) -> Any:
    import numpy as np

    # Steps of Adam, flat steps of the output, iterations until half and 95 % of the starts have settled.
    table = show.make_table("", "loss", "Adam", "tries", "flat", "steepest", "settled", "95 %", "at points")
    for i in range(len(result.names)):
        took = result.settled_after[i][result.settled_after[i] >= 0]
        table.add_row(
            str(i + 1),
            f"{result.fit_loss[i]:.1e}",
            str(result.fit_steps[i]),
            str(result.tries[i]) + (f" ({result.dead[i]} dead)" if result.dead[i] else ""),
            str(int(np.isfinite(result.flat_steps[i, :, 0]).sum())),
            f"{np.abs(result.slope[i]).max():.3g}",
            *((f"{np.median(took):.0f}", f"{np.percentile(took, 95):.0f}") if len(took) else ("-", "-")),
            f"{100 * result.share_at_points[i]:.0f} %",
        )
    return table


def _line_facts(result: KaleidoscopeLine) -> list[tuple[str, str]]:
    facts = []
    for i, name in enumerate(result.names):
        facts.append((f"network {i + 1}", name))
        of_network = (result.fixed_points[i], result.multipliers[i], result.basin_shares[i])
        for place, slope, share in zip(*of_network, strict=True):
            if place == place:
                kind = "stable" if abs(slope) < 1 else "unstable"
                facts.append(("  fixed point", f"{place:+.4f}  {kind}, slope {slope:+.3f}, basin {100 * share:.1f} %"))
    return facts


class _Pairs(Numbers):
    """How an option takes points of the plane: ``"0.2,0.8 0.5,0.5"``."""

    def __call__(self, text: str) -> Any:
        pairs = [super(_Pairs, self).__call__(part) for part in text.split()]
        if not pairs or any(len(pair) != 2 for pair in pairs):
            raise UsageError(f'expected pairs as in "0.2,0.8 0.5,0.5", got {text!r}')
        return tuple(pairs)


@command(
    f"{PAPER}.cube:kaleidoscope_plane",
    panels=FITTED,
    reads={"points": _Pairs(float, '"X,Y X,Y ..."')},
    shown={"points": "the paper's two settings", "depth": "2", "width": "50"},
    examples="""
lyapmap kaleidoscope plane --out plane
lyapmap kaleidoscope plane --points "0.2,0.2 0.8,0.8" --depth 4 --width 20 --json
""",
)
def plane(run: Run, *, points: Any = None, depth: int | None = None, width: int | None = None, seed: int = 0) -> int:
    """Points of the unit square: loss surface, samples over iterations, basins (Fig. 5).

    Without --points, the paper's two networks, in one figure.

    Parameters
    ----------
    points
        To learn.
    depth : N, at least 1
        Hidden layers, with --points.
    width : N, at least 1
        Units of each, with --points.
    seed : N, at least 0
        Of everything that is random.
    """
    from lyapmap.cli.source import require_torch

    require_torch("the fit")
    from lyapmap.models.kaleidoscope.cube import PAPER_PLANE, PlaneSetting

    result = run(_settings(PAPER_PLANE, PlaneSetting, points, depth=depth, width=width))
    return run.show(result, "Kaleidoscopes on the unit square", _plane_facts(result), table=_plane_table)


def _plane_table(result: KaleidoscopePlane) -> Any:
    last = f"at points, n = {result.sampled_after[-1]}"
    table = show.make_table("", "loss", "largest", "Adam", "tries", "settled", "ends", last)
    for i in range(len(result.names)):
        table.add_row(
            str(i + 1),
            f"{result.fit_loss[i]:.1e}",
            f"{result.loss[i].max():.3f}",
            str(int(result.fit_steps[i])),
            str(int(result.tries[i])),
            f"{100 * result.settled[i]:.0f} %",
            str(int(result.n_ends[i])),
            f"{100 * result.share_at_points[i, -1]:.0f} %",
        )
    return table


def _plane_facts(result: KaleidoscopePlane) -> list[tuple[str, str]]:
    facts = []
    for i, name in enumerate(result.names):
        facts.append((f"network {i + 1}", name))
        of_network = (result.points[i], result.share_by_point[i], result.expansion[i])
        for (x, y), share, expansion in zip(*of_network, strict=True):
            if x == x:
                words = f"basin {100 * share:.1f} %, largest singular value {expansion:.3f}"
                facts.append(("  point", f"({x:g}, {y:g})  {words}"))
    return facts


@command(
    f"{PAPER}.cube:kaleidoscope_corners",
    panels=FITTED,
    names={"n_points": "--n-points"},
    shown={"dimensions": "1,2,4,8", "n_points": "1,4,16,64,256"},
    examples="""
lyapmap kaleidoscope corners --out corners
lyapmap kaleidoscope corners --full --out corners
lyapmap kaleidoscope corners --dimensions 1,2,16 --n-points 1,64,2048 --seeds 5 --json
""",
)
def corners(
    run: Run,
    *,
    full: bool = False,
    dimensions: tuple[int, ...] | None = None,
    n_points: tuple[int, ...] | None = None,
    seed: int = 0,
) -> int:
    """Largest loss over all 2^D corners of the cube, against the number of points learned (Fig. 6).

    Parameters
    ----------
    full
        The paper's sizes: D = 1 to 16, 1 to 2048 points; takes long.
    dimensions : D[,D...]
        Of the cube.
    n_points : N[,N...]
        Points learned.
    seed : N, at least 0
        Of everything that is random.
    """
    from lyapmap.cli.source import require_torch

    require_torch("the fit")
    from lyapmap.models.kaleidoscope.cube import PAPER_CORNERS, QUICK_CORNERS

    usual = PAPER_CORNERS if full else QUICK_CORNERS
    result = run(dimensions or usual[0], n_points or usual[1])
    facts = [
        ("network", f"L={run.values['depth']}, H={run.values['width']}, sigmoid"),
        ("seeds", f"{run.values['n_seeds']}, each with its own points"),
    ]
    return run.show(result, "Largest loss over all corners of the unit cube", facts, table=_corners_table)


def _corners_table(result: KaleidoscopeCorners) -> Any:
    table = show.make_table("points", *(f"D = {d}" for d in result.dimensions))
    for j, count in enumerate(result.n_points):
        cells = zip(result.largest_mean[:, j], result.largest_stderr[:, j], strict=True)
        texts = (f"{mean:.3f} ± {error:.3f}" if error == error else f"{mean:.3f}" for mean, error in cells)
        table.add_row(str(count), *("-" if text == "nan" else text for text in texts))
    return table


@command(
    f"{PAPER}.line:kaleidoscope_depth",
    panels=FITTED,
    examples="""
lyapmap kaleidoscope depth --out depth
lyapmap kaleidoscope depth --points 0.2,0.8 --output sigmoid --depths 1,2,4,8 --widths 10,50 --seeds 10
lyapmap kaleidoscope depth --depths 1,4 --widths 10 --seeds 2 --json
""",
)
def depth(run: Run, *, points: tuple[float, ...] = (-0.8, -0.2, 0.2, 0.8), seed: int = 0) -> int:
    """Depth against width: steps of the output, their slopes, and how fast starts settle.

    The claim that depth sharpens the steps, measured: change for each doubling of depth and of width.

    Parameters
    ----------
    points : X,X[,X...]
        To learn.
    seed : N, at least 0
        Of everything that is random.
    """
    from lyapmap.cli.source import require_torch

    require_torch("the fit")
    result = run(points)
    title = f"Depth against width, networks fitted to {','.join(f'{p:g}' for p in points)}"
    return run.show(result, title, _depth_facts(result), table=_depth_table)


def _depth_table(result: KaleidoscopeDepth) -> Any:
    from lyapmap.models.kaleidoscope.line import MEASURES

    def change(measure: int, of: int) -> str:
        effect, error = result.effect[measure, of], result.effect_stderr[measure, of]
        if effect != effect or error != error:
            return "-" if effect != effect else f"{effect:+.2f}"
        return f"{effect:+.2f} ± {error:.2f} {result.verdict(measure, of):<7}"

    table = show.make_table("change with", "depth doubled", "width doubled")
    for m, key in enumerate(result.measures):
        table.add_row(MEASURES[key], change(m, 0), change(m, 1))
    return table


def _depth_facts(result: KaleidoscopeDepth) -> list[tuple[str, str]]:
    import numpy as np

    done = ~np.isnan(result.tries)
    fitted, loss = int((result.fit_loss <= result.settings["loss"]).sum()), result.settings["loss"]
    facts = [
        ("fitted", f"{fitted} of {result.fit_loss.size} networks to a loss of {loss:g}"),
        ("errors", "standard errors over seeds; rises, falls: at 95 % confidence"),
        ("tries", f"{int(result.tries[done].sum())} sets of initial weights, {int(result.dead[done].sum())} died"),
    ]
    for layers, rows in zip(result.depths, result.measured[0], strict=True):
        known = [row[~np.isnan(row)] for row in rows]
        means = [f"{row.mean():.2f}" if len(row) else "-" for row in known]
        widths = ", ".join(f"H={h}: {mean}" for h, mean in zip(result.widths, means, strict=True))
        facts.append((f"steps at L={layers}", widths))
    return facts
