"""Figures of the study of latent spectral decomposition; images have values in [-1, 1]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.core.points import rescaled
from lyapmap.report import style
from lyapmap.report.images import sheet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lyapmap.models.latent_spectral.images import LsdImages

LARGEST = 24
"""Columns of a sheet of vectors, at most."""
GAP = 2
"""Pixels between its images."""
NARROW = 12
"""Columns of images beyond which they are drawn smaller."""
ROUNDING = 1e-7
"""Distances below are drawn here, on axes that have no zero."""


NAMES = {"ξ": "the basis vectors ξ", "η": "the averages η"}
"""What the letters of the paper stand for."""


def draw_vectors(
    images: NDArray[Any],
    label: NDArray[np.int64],
    set_number: NDArray[np.int64],
    right: NDArray[np.bool_],
    classes: Sequence[int],
    letter: str,
) -> Figure:
    """Images of vectors, one row for each label and one column for each set.

    Parameters
    ----------
    images : (K, channels, height, width)
    label, set_number, right : (K,)
        `right` where the classifier sees the label; the others get a frame.
    classes : sequence of int
        What the labels are called.
    letter : str
        Of the vectors.
    """
    from matplotlib.patches import Rectangle

    rows, columns = len(classes), min(int(set_number.max()), LARGEST)
    cells = np.ones((rows, columns, *images.shape[1:]))
    cells[label[set_number <= columns], set_number[set_number <= columns] - 1] = images[set_number <= columns]
    height, width = images.shape[-2] + GAP, images.shape[-1] + GAP
    figure = style.new_figure(max(0.62 * columns + 0.6, 4.6), 0.62 * rows + 1.1)
    axes = figure.subplots()
    axes.imshow(sheet(cells, gap=GAP), interpolation="nearest")
    for row, column, fits in zip(label, set_number - 1, right, strict=True):
        if not fits and column < columns:
            corner = (column * width + 0.75 * GAP - 0.5, row * height + 0.75 * GAP - 0.5)
            size = (width - GAP / 2, height - GAP / 2)
            axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor=style.VERMILLION, linewidth=1.5))
    axes.set_xticks((np.arange(columns) + 0.5) * width, [str(n + 1) for n in range(columns)])
    axes.set_yticks((np.arange(rows) + 0.5) * height, [str(c) for c in classes])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=style.LABEL, colors=style.INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    summary = f"{int(right.sum())} of {len(right)} show their label; the others are framed"
    style.headline(figure, f"Images of {NAMES.get(letter, letter)}: labels by sets", summary)
    return figure


def draw_latents(kinds: Mapping[str, Any], labels: Mapping[str, Any], classes: Sequence[int]) -> Figure:
    """Densities of the components of latent vectors, one curve for each label and one panel for each kind."""
    figure, panels = style.panels(len(kinds), sharey=True)
    edges = np.linspace(-5, 5, 51)
    middle = (edges[1:] + edges[:-1]) / 2
    normal = np.exp(-(middle**2) / 2) / np.sqrt(2 * np.pi)
    for axes, (name, z) in zip(panels, kinds.items(), strict=True):
        for place, label in enumerate(classes):
            mine = z[labels[name] == place]
            if len(mine):
                density = np.histogram(np.clip(mine, -5, 5), edges, density=True)[0]
                axes.plot(middle, density, color=_colour(place), linewidth=1.1, label=str(label))
        axes.plot(middle, normal, color=style.INK, linestyle="--", linewidth=1.2, label="normal")
        style.dress(axes, title=f"{name.capitalize()} latent vectors", x="component", y="density")
        axes.legend(fontsize=style.SMALL, frameon=False, ncols=2, loc="upper right")
    style.headline(figure, "Components of latent vectors by label", "all components together")
    return figure


def draw_accuracy(
    labels: NDArray[np.int64],
    named: NDArray[np.int64],
    classifier: float,
    decoded: Sequence[float],
    largest: Sequence[float],
    within: NDArray[np.float64],
    within_first: NDArray[np.float64],
    classes: Sequence[int],
) -> Figure:
    """A batch with its labels, accuracies over trials, and the place of the true label among the amplitudes."""
    figure, (batch, trials, places) = style.panels(3)
    x = np.arange(1, len(labels) + 1)
    right = labels == named
    batch.plot(x, labels, "o", color=style.SKY, markersize=10, label="true label")
    batch.plot(x[right], named[right], "o", color=style.GREEN, markersize=4.5, label="LSD, right")
    batch.plot(x[~right], named[~right], "o", color=style.VERMILLION, markersize=4.5, label="LSD, wrong")
    batch.set_yticks(range(len(classes)), [str(c) for c in classes])
    batch.set_ylim(-0.6, len(classes) + 1.4)
    style.dress(batch, title="A batch", x="image", y="label")
    batch.legend(fontsize=style.SMALL, frameon=False, ncols=3, loc="upper center", columnspacing=0.8, handletextpad=0.1)
    number = np.arange(1, len(decoded) + 1)
    trials.axhline(classifier, color=style.GREEN, linewidth=1.4, label=f"classifier, {classifier:.1%}")
    for values, colour, words in ((decoded, style.BLUE, "encoded and decoded"), (largest, style.VERMILLION, "LSD")):
        trials.plot(number, values, "o", color=colour, markersize=4, label=f"{words}, {np.mean(values):.1%}")
    low = min(*decoded, *largest, classifier)
    trials.set_ylim(low - 0.1 * (1 - low) - 0.002, 1 + 0.4 * (1 - low))
    trials.set_yticks([tick for tick in trials.get_yticks() if low - 0.1 * (1 - low) < tick <= 1])
    style.whole_ticks(trials.xaxis)
    style.dress(trials, title="Accuracy", x="trial", y="")
    trials.legend(fontsize=style.SMALL, frameon=False, loc="upper right")
    n = np.arange(1, len(within) + 1)
    places.plot(n, within, "o-", color=style.PURPLE, markersize=4, linewidth=1.2, label="any vector of the label")
    places.plot(n, within_first, "o-", color=style.ORANGE, markersize=4, linewidth=1.2, label="that in set 1")
    places.axhline(classifier, color=style.GREEN, linestyle="--", linewidth=1.0, label="classifier")
    places.set_xscale("log")
    places.set_xticks([tick for tick in (1, 2, 4, 10, 20, 40, 100, 200) if tick <= len(within)])
    places.minorticks_off()
    places.xaxis.set_major_formatter("{x:.0f}")
    places.set_ylim(top=1.005)
    style.dress(places, title="True label among the n largest amplitudes", x="n", y="probability")
    places.legend(fontsize=style.SMALL, frameon=False, loc="lower right")
    style.headline(figure, "Classification by the largest amplitude", f"right in {np.mean(largest):.1%} of the images")
    return figure


def draw_amplitudes(groups: Mapping[int, NDArray[np.float64]]) -> Figure:
    """Amplitudes (b, ranks) relative to the largest, by the place of the true label: curves, and densities below."""
    ordinal = {1: "first", 2: "second", 3: "third", 4: "fourth"}
    figure = style.new_figure(4.1 * len(groups), 6.4)
    grid = figure.subplots(2, len(groups), squeeze=False)
    for column, (rank, values) in enumerate(groups.items()):
        upper, lower = grid[:, column]
        if len(values):
            ranks = np.arange(1, values.shape[1] + 1)
            upper.plot(ranks, values[:300].T, color=style.PURPLE, linewidth=0.4, alpha=0.15)
            quantiles = np.quantile(values, (0.1, 0.5, 0.9), axis=0)
            upper.plot(ranks, quantiles[1], "o-", color=style.INK, markersize=3.5, linewidth=1.2, label="median")
            upper.plot(ranks, quantiles[::2].T, color=style.INK, linestyle=":", linewidth=1.0)
            edges = np.linspace(0, 1, 31)
            for place, colour in zip(range(1, min(4, values.shape[1])), style.SEQUENCE, strict=False):
                lower.hist(
                    values[:, place], edges, density=True, histtype="stepfilled", color=colour, alpha=0.45,
                    label=ordinal[place + 1],
                )  # fmt: skip
            lower.legend(fontsize=style.SMALL, frameon=False, loc="upper left")
        upper.set_ylim(0, 1.03)
        style.dress(upper, title=f"True label {ordinal[rank]}: {len(values)} images", x="rank", y="amplitude")
        style.dress(lower, title="Second to fourth amplitude", x="amplitude", y="density")
    style.headline(figure, "Amplitudes by rank", "relative to the largest; dotted: 10 and 90 %")
    return figure


def draw_columns(columns: Mapping[str, NDArray[Any]]) -> Figure:
    """Images (rows, channels, height, width) side by side under names."""
    rows = len(next(iter(columns.values())))
    wide = 0.85 if len(columns) <= NARROW else 0.55
    figure = style.new_figure(wide * len(columns), (wide - 0.15) * rows + 0.65)
    for axes, (name, images) in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns.items(), strict=True):
        axes.imshow(sheet(np.asarray(images)[:, None], gap=1), interpolation="nearest")
        axes.axis("off")
        axes.set_title(name.replace(" rescaled", "\nrescaled").replace("-", "-\n"), fontsize=style.SMALL)
    return figure


def draw_lsd_images(result: LsdImages) -> Figure:
    """Images in rows, and beside each what was made of it.

    Parameters
    ----------
    result : LsdImages

    Returns
    -------
    matplotlib.figure.Figure
    """
    shown = rescaled(result.images, result.value_range)
    return draw_columns({name: shown[:, i] for i, name in enumerate(result.columns)})


def draw_denoising(
    kind: str, strengths: Sequence[float], table: Mapping[str, Mapping[str, Sequence[float]]], clean: float
) -> Figure:
    """Likeness to the clean image and part classified right, against the strength of noise, for all methods."""
    figure = style.new_figure(12.5, 4.8)
    likeness, right = figure.subplots(1, 2)
    few = [name for name in table if not name.startswith(("LSD", "PCA")) or name.split()[1] in _picked(table)]
    few = [name for name in few if not name.endswith("rescaled")]
    for axes, key in ((likeness, "psnr"), (right, "right")):
        for name in few:
            axes.plot(strengths, [_finite(v) for v in table[name][key]], **_look(name), label=name)
        axes.set_xticks(list(strengths), [f"{s:g}" for s in strengths])
    right.axhline(clean, color=style.INK, linestyle=":", linewidth=1.0)
    style.dress(likeness, title="Likeness to the clean image", x=_WORDS[kind], y="PSNR in dB")
    style.dress(right, title="Part classified right (dotted: clean)", x=_WORDS[kind], y="")
    handles, names = likeness.get_legend_handles_labels()
    figure.legend(handles, names, fontsize=style.SMALL, frameon=False, loc="outside right center")
    best = max((name for name in table if name != "noisy"), key=lambda name: sum(table[name]["right"]))
    words = f"best denoiser for the classifier: {best}, right in {np.mean(table[best]['right']):.1%} on average; noisy "
    style.headline(figure, f"Denoising, {kind} noise", words + f"images: {np.mean(table['noisy']['right']):.1%}")
    return figure


_WORDS = {"gaussian": "standard deviation of the noise", "salt and pepper": "part of the pixels"}


def draw_rotation(
    reached: Mapping[str, Sequence[float]], spread: Mapping[str, NDArray[Any]], targets: Sequence[int], steps: int
) -> Figure:
    """Labels reached at each quarter turn, and how far latent vectors of different images are apart on the way."""
    figure, (hits, apart) = style.panels(2)
    for colour, name in zip(style.SEQUENCE, reached, strict=False):
        hits.plot(range(len(targets)), reached[name], "o-", color=colour, markersize=4, linewidth=1.2, label=name)
        apart.plot(np.arange(len(spread[name])) / steps, spread[name], color=colour, linewidth=1.3, label=name)
    hits.set_xticks(range(len(targets)), [str(t) for t in targets])
    hits.set_ylim(-0.03, 1.03)
    style.dress(hits, title="Label that was turned to", x="label", y="part of the images that show it")
    style.dress(
        apart, title="Spread of different images", x="quarter turns", y="distance from their mean / $\\sqrt{M}$"
    )
    apart.set_ylim(bottom=0)
    named = hits.get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=2, fontsize=style.SMALL, frameon=False)
    means = "   ".join(f"{name}: {np.mean(values):.0%}" for name, values in reached.items())
    style.headline(figure, "Rotation from label to label", f"labels reached   {means}")
    return figure


def draw_turns(back: NDArray[Any], apart: NDArray[Any], plain: NDArray[Any], right: NDArray[Any]) -> Figure:
    """Distances after whole turns, (turns, b), (turns + 1, b), (turns, b), and the part of labels that are right."""
    figure, (closes, contracts, labels) = style.panels(3)
    turn = np.arange(1, len(back) + 1)
    _band(closes, turn, back, style.BLUE, "with round trips")
    _band(closes, turn, plain, style.GREY, "rotation alone")
    _band(contracts, np.arange(len(apart)), apart, style.VERMILLION, "from their mean")
    labels.plot(turn, right, "o-", color=style.GREEN, markersize=3.5, linewidth=1.2)
    labels.set_ylim(-0.03, 1.03)
    for axes in (closes, contracts):
        axes.set_yscale("log")
        axes.legend(fontsize=style.SMALL, frameon=False)
    style.dress(closes, title="Distance after one more turn", x="turn", y="relative to $\\sqrt{M}$")
    style.dress(contracts, title="Distance of different images", x="turn", y="relative to $\\sqrt{M}$")
    style.dress(labels, title="Part of the labels that are right", x="turn", y="")
    style.headline(figure, "Turns round all labels", "medians over trajectories, and 10 to 90 percent")
    return figure


def _band(axes: Axes, x: NDArray[Any], values: NDArray[Any], colour: str, name: str) -> None:
    low, middle, high = np.maximum(np.quantile(values, (0.1, 0.5, 0.9), axis=1), ROUNDING)
    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(x, middle, color=colour, linewidth=1.3, label=name)


def _colour(place: int) -> str:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return to_hex(colormaps["tab10"](place % 10))


def _picked(table: Mapping[str, Any]) -> list[str]:
    """Numbers of components that are drawn: few, some, many."""
    counts = sorted({int(name.split()[1]) for name in table if name.startswith("PCA")})
    picked = {counts[0], counts[-1], *(n for n in counts if n in (4, 10))}
    return [str(n) for n in picked]


def _look(name: str) -> dict[str, Any]:
    """Colour by method, dashes and markers by number of components."""
    method, _, count = name.partition(" ")
    colour = {
        "noisy": style.GREY, "encode-decode": style.GREEN, "LSD": style.BLUE, "PCA": style.ORANGE,
        "median": style.PURPLE,
    }[method]  # fmt: skip
    marker = {"": "o", "1": "v", "4": "s", "10": "D"}.get(count, "^")
    line = {"": "-", "1": ":", "4": "-.", "10": "--"}.get(count, "-")
    return {"color": colour, "marker": marker, "linestyle": line, "markersize": 4, "linewidth": 1.3}


def _finite(value: float) -> float:
    return value if np.isfinite(value) else np.nan
