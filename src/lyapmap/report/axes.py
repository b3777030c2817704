"""One axes of matplotlib, read into the traces and the layout of plotly: from lines, bars, areas, fields and words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lyapmap.report import style
from lyapmap.report.palette import MARKERS, NAMES, THIN, colour, dash, hex_of, rgb_of, scale_of
from lyapmap.report.stills import as_address, title_of
from lyapmap.report.values import DIGITS, LONGEST_LINE, filled, has_words, middles, numbers, thinned
from lyapmap.report.words import broken, in_html, in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from lyapmap.report.hover import Hovered

Trace = dict[str, Any]
Panel = dict[str, Any]

MOST_MARKERS = 6_000
"""Points of one series above which they are drawn as a cloud of pixels."""
HOVERED = 1_500
"""Points of a cloud that can be hovered over."""
CLOUD = (900, 640)
"""Pixels of a cloud."""
MOST_CELLS = 60_000
"""Cells of a field above which it is averaged."""
NARROW = 0.8
"""Decades of an axis below which the ticks of the picture are kept."""


class Reading:
    """One axes, read into traces and a layout."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.traces: list[Trace] = []
        self.shapes: list[dict[str, Any]] = []
        self.notes: list[dict[str, Any]] = []
        self.layers: list[dict[str, Any]] = []
        self.named: set[str] = set()
        legend = axes.get_legend()
        self.legend = [text.get_text() for text in legend.get_texts()] if legend is not None else []
        self.handles = list(getattr(legend, "legend_handles", [])) if legend is not None else []
        self.x = in_html(broken(axes.get_xlabel()))
        self.y = in_html(broken(axes.get_ylabel()))

    def panel(self) -> Panel:
        axes = self.axes
        used: set[Any] = set()
        for container in axes.containers:
            self._container(container, used)
        for image in axes.images:
            self._image(image)
        for collection in axes.collections:
            if collection not in used and collection.get_visible():
                self._collection(collection)
        for patch in axes.patches:
            if patch not in used and patch.get_visible():
                self._patch(patch)
        for line in axes.lines:
            if line not in used and line.get_visible():
                self._line(line)
        for text in axes.texts:
            self._text(text)
        self._missing_names()
        return {
            "title": in_html(title_of(axes)),
            "alt": self._alt(),
            "traces": self.traces,
            "layout": self._layout(),
        }

    # What is drawn

    def _container(self, container: Any, used: set[Any]) -> None:
        from matplotlib.container import BarContainer, ErrorbarContainer

        if isinstance(container, ErrorbarContainer):
            line, caps, bars = container.lines
            used |= {line, *caps, *bars} - {None}
            self._errorbar(container, line, bars)
        elif isinstance(container, BarContainer):
            used |= {*container.patches}
            if container.errorbar is not None:
                used |= {part for group in container.errorbar.lines if group is not None for part in np.ravel([group])}
            self._bars(container)

    def _errorbar(self, container: Any, line: Any, bars: Any) -> None:
        if line is not None and len(line.get_xdata()):
            x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
            trace = self._points(line, x, y)
        else:
            middles = [np.mean(part, axis=0) if len(part) else (np.nan, np.nan) for part in bars[0].get_segments()]
            x, y = np.array(middles, float).reshape(-1, 2).T
            shade = colour(bars[0].get_color())
            trace = {
                "type": "scatter",
                "mode": "markers",
                "x": numbers(x),
                "y": numbers(y),
                "marker": {"size": 1, "color": shade},
            }
        for kind, part in zip(
            (["x"] if container.has_xerr else []) + (["y"] if container.has_yerr else []), bars, strict=False
        ):
            axis = "xy".index(kind)
            middle = (x, y)[axis]
            ends = [s[:, axis] if len(s) == 2 else (np.nan, np.nan) for s in part.get_segments()]
            low, high = np.array(ends, float).reshape(-1, 2).T
            if len(low) != len(middle):
                continue
            trace[f"error_{kind}"] = {
                "type": "data",
                "symmetric": False,
                "array": numbers(high - middle),
                "arrayminus": numbers(middle - low),
                "color": colour(part.get_color()),
                "thickness": 1.4,
                "width": 3 if len(middle) <= 60 else 0,
            }
        self._add(trace, container.get_label())

    def _bars(self, container: Any) -> None:
        boxes = [(p.get_x(), p.get_y(), p.get_width(), p.get_height()) for p in container.patches]
        if not boxes:
            return
        x, y, width, height = np.array(boxes, float).T
        lying = container.orientation == "horizontal"
        trace: Trace = {
            "type": "bar",
            "orientation": "h" if lying else "v",
            "x": numbers(width if lying else x + width / 2),
            "y": numbers(y + height / 2 if lying else height),
            "width": numbers(height if lying else width),
            "base": numbers(x if lying else y),
            "marker": {"color": [colour(p.get_facecolor()) for p in container.patches], "line": {"width": 0}},
        }
        shades = set(trace["marker"]["color"])
        if len(shades) == 1:
            trace["marker"]["color"] = shades.pop()
        self._add(trace, container.get_label())

    def _line(self, line: Any) -> None:
        in_x, in_y = line.get_transform().contains_branch_seperately(self.axes.transData)
        x, y = (filled(part) for part in line.get_data(orig=False))
        if in_x and in_y:
            trace = self._points(line, x, y)
            self._add(trace, line.get_label(), line if len(trace["x"]) == len(x) else None)
            return
        if len(x) < 2 or not (in_x or in_y):
            return
        self.shapes.append(
            {
                "type": "line",
                **self._corners(x[0], x[-1], y[0], y[-1], in_x=in_x, in_y=in_y),
                "line": {
                    "color": colour(line.get_color(), line.get_alpha()),
                    "width": max(1.0, line.get_linewidth()),
                    "dash": dash(line),
                },
                "layer": "below",
                **self._naming(line.get_label()),
            }
        )

    def _points(self, line: Any, x: NDArray[Any], y: NDArray[Any]) -> Trace:
        """A line of matplotlib as a trace: markers, a line, or both."""
        marker, alpha = str(line.get_marker()), line.get_alpha()
        dotted, lined = marker not in ("None", "none", " ", ""), line.get_linestyle() not in ("None", "none", " ", "")
        if dotted and not lined and len(x) > MOST_MARKERS:
            return self._cloud(x, y, line.get_markerfacecolor(), alpha)
        if not dotted or lined:
            x, y = thinned(x, y)
        trace: Trace = {
            "type": "scatter",
            "mode": "+".join([*(["lines"] if lined else []), *(["markers"] if dotted else [])]) or "lines",
            "x": numbers(x),
            "y": numbers(y),
        }
        if lined:
            trace["line"] = {
                "color": colour(line.get_color(), alpha),
                "width": max(1.2, 1.3 * line.get_linewidth()),
                "dash": dash(line),
            }
            if "steps" in line.get_drawstyle():
                trace["line"]["shape"] = {"steps-post": "hv", "steps-mid": "hvh"}.get(line.get_drawstyle(), "vh")
        if dotted:
            size = 2.0 if marker in (".", ",") else float(line.get_markersize())
            face = line.get_markerfacecolor()
            # White within a coloured edge means an empty sign, whatever the ground.
            white = hex_of(face) == "#ffffff" != hex_of(line.get_markeredgecolor())
            hollow = white or (isinstance(face, str) and face.lower() == "none")
            trace["marker"] = self._marker(
                marker, size, line.get_markeredgecolor() if hollow else face, alpha, hollow=hollow
            )
        return trace

    @staticmethod
    def _marker(marker: str, size: float, face: Any, alpha: float | None, *, hollow: bool = False) -> dict[str, Any]:
        symbol = MARKERS.get(marker, "circle")
        shade = colour(face, alpha)
        made: dict[str, Any] = {
            "symbol": f"{symbol}-open" if hollow and symbol not in THIN else symbol,
            "size": max(2.0, 1.35 * size),
            "color": shade,
        }
        if symbol in THIN:
            made["line"] = {"width": 1.4, "color": shade}
        return made

    def _cloud(self, x: NDArray[Any], y: NDArray[Any], face: Any, alpha: float | None) -> Trace:
        """More points than a page can hold, as an image behind some that can be hovered over."""
        from matplotlib.colors import to_rgb
        from PIL import Image

        known = np.isfinite(x) & np.isfinite(y)
        across = [self._to_axis(values[known], axis) for values, axis in ((x, self.axes.xaxis), (y, self.axes.yaxis))]
        limits = [self._range(axis) for axis in (self.axes.xaxis, self.axes.yaxis)]
        counts, _, _ = np.histogram2d(across[0], across[1], bins=CLOUD, range=[sorted(limit) for limit in limits])
        opacity = 1 - (1 - max(alpha or 1.0, 0.5)) ** counts.T[::-1]
        rgb = to_rgb(face)
        if NAMES.get(hex_of(face)) == "ink":
            rgb = to_rgb(style.GREY)
        pixels = np.zeros((*opacity.shape, 4), np.uint8)
        pixels[..., :3] = np.rint(255 * (0.75 * np.array(rgb) + 0.25))  # seen on light and on dark ground
        pixels[..., 3] = np.rint(255 * np.clip(opacity, 0, 1))
        (left, right), (low, high) = (sorted(limit) for limit in limits)
        self.layers.append(
            {
                "source": as_address(Image.fromarray(pixels)),
                "xref": "x",
                "yref": "y",
                "x": left,
                "y": high,
                "sizex": right - left,
                "sizey": high - low,
                "sizing": "stretch",
                "layer": "below",
            }
        )
        some = np.flatnonzero(known)[:: max(1, int(known.sum()) // HOVERED)]
        return {
            "type": "scatter",
            "mode": "markers",
            "x": numbers(x[some]),
            "y": numbers(y[some]),
            "marker": {"size": 4, "color": colour(face), "opacity": 0.02},
        }

    def _collection(self, part: Any) -> None:
        from matplotlib.collections import LineCollection, PathCollection, QuadMesh

        if isinstance(part, PathCollection):
            self._scatter(part)
        elif isinstance(part, LineCollection):
            pieces = [np.vstack([segment, [[np.nan, np.nan]]]) for segment in part.get_segments() if len(segment)]
            if pieces:
                x, y = np.vstack(pieces).T
                shade = colour(part.get_color())
                line = {"color": shade, "width": max(1.0, float(np.ravel(part.get_linewidth())[0]))}
                self._add(
                    {"type": "scatter", "mode": "lines", "x": numbers(x), "y": numbers(y), "line": line},
                    part.get_label(),
                )
        elif isinstance(part, QuadMesh):
            corners: Any = part.get_coordinates()
            self._field(
                np.ma.asarray(part.get_array()).reshape(len(corners) - 1, -1),
                part,
                middles(corners[0, :, 0]),
                middles(corners[:, 0, 1]),
            )
        else:
            for path in part.get_paths():
                self._area(path.vertices, part.get_facecolor(), part.get_label(), part)

    def _scatter(self, part: Any) -> None:
        offsets: NDArray[Any] = np.ma.filled(np.ma.asarray(part.get_offsets(), float), np.nan).reshape(-1, 2)
        x, y = offsets.T
        sizes = np.sqrt(np.ravel(part.get_sizes())) if len(np.ravel(part.get_sizes())) else np.array([6.0])
        values = part.get_array()
        places = np.arange(len(x))
        if len(x) > MOST_MARKERS:
            places = np.linspace(0, len(x) - 1, MOST_MARKERS).astype(int)
        marker: dict[str, Any] = {
            "size": numbers(1.2 * sizes[places]) if len(sizes) == len(x) > 1 else 1.2 * float(sizes[0])
        }
        faces = part.get_facecolor()
        if values is not None and np.size(values) == len(x):
            low, high = (float(limit) for limit in part.get_clim())
            marker |= {
                "color": numbers(np.asarray(values)[places]),
                "colorscale": scale_of(part.cmap),
                "cmin": low,
                "cmax": high,
            }
            if part.colorbar is not None:
                marker |= {"showscale": True, "colorbar": self._bar(part)}
            if part.get_alpha() is not None:
                marker["opacity"] = float(part.get_alpha())
        elif len(faces) == len(x) > 1:
            marker["color"] = [colour(face) for face in faces[places]]
        else:
            hollow = not len(faces)
            marker["color"] = colour(part.get_edgecolor() if hollow else faces)
            marker |= {"symbol": "circle-open"} if hollow else {}
        trace: Trace = {
            "type": "scatter",
            "mode": "markers",
            "x": numbers(x[places]),
            "y": numbers(y[places]),
            "marker": marker,
        }
        self._add(trace, part.get_label(), part, places)

    def _area(self, vertices: NDArray[Any], face: Any, label: str, part: Any = None) -> None:
        if len(vertices) < 3 or (part is not None and not np.size(face)):
            return
        inside = part is None or part.get_transform().contains_branch_seperately(self.axes.transData) == (True, True)
        x, y = np.asarray(vertices, float).T
        if not inside:
            in_x, in_y = part.get_transform().contains_branch_seperately(self.axes.transData)
            self._rectangle(x.min(), x.max(), y.min(), y.max(), face, label, in_x=in_x, in_y=in_y)
            return
        if len(x) > LONGEST_LINE:
            step = -(-len(x) // LONGEST_LINE)
            x, y = x[::step], y[::step]
        trace = {
            "type": "scatter",
            "mode": "lines",
            "x": numbers(x),
            "y": numbers(y),
            "fill": "toself",
            "fillcolor": colour(face),
            "line": {"width": 0, "color": colour(face)},
            "hoverinfo": "skip",
        }
        self._add(trace, label)

    def _patch(self, patch: Any) -> None:
        from matplotlib.patches import Rectangle

        in_x, in_y = patch.get_transform().contains_branch_seperately(self.axes.transData)
        face = patch.get_facecolor()
        if patch.get_hatch():
            face = (*rgb_of(style.GREY), 0.16)
        if isinstance(patch, Rectangle):
            x, y = patch.get_xy()
            self._rectangle(
                x, x + patch.get_width(), y, y + patch.get_height(), face, str(patch.get_label()), in_x=in_x, in_y=in_y
            )
            return
        if not (in_x and in_y):
            return
        vertices = patch.get_path().to_polygons(closed_only=False)
        moved = patch.get_patch_transform()
        for polygon in vertices:
            points = moved.transform(polygon)
            if patch.get_fill() and face[3] > 0:
                self._area(points, face, patch.get_label())
            else:
                x, y = np.asarray(points).T
                line = {"color": colour(patch.get_edgecolor()), "width": max(1.0, patch.get_linewidth())}
                self._add(
                    {"type": "scatter", "mode": "lines", "x": numbers(x), "y": numbers(y), "line": line},
                    patch.get_label(),
                )

    def _rectangle(
        self, left: Any, right: Any, low: Any, high: Any, face: Any, label: str, *, in_x: bool, in_y: bool
    ) -> None:
        self.shapes.append(
            {
                "type": "rect",
                **self._corners(left, right, low, high, in_x=in_x, in_y=in_y),
                "fillcolor": colour(face),
                "line": {"width": 0},
                "layer": "below",
                **self._naming(label),
            }
        )

    def _corners(self, left: Any, right: Any, low: Any, high: Any, *, in_x: bool, in_y: bool) -> dict[str, Any]:
        x0, x1, y0, y1 = numbers([left, right, low, high])
        if (left, right) == (-np.inf, np.inf):
            x0, x1, in_x = 0, 1, False
        return {
            "xref": "x" if in_x else "x domain",
            "yref": "y" if in_y else "y domain",
            "x0": x0,
            "x1": x1,
            "y0": y0,
            "y1": y1,
        }

    def _image(self, image: Any) -> None:
        from PIL import Image

        values = image.get_array()
        left, right, low, high = (float(v) for v in image.get_extent())
        if values is None:
            return
        if values.ndim == 2:
            rows, columns = values.shape
            first, last = (high, low) if image.origin == "upper" else (low, high)  # where the first row lies
            x = left + (np.arange(columns) + 0.5) * (right - left) / columns
            y = first + (np.arange(rows) + 0.5) * (last - first) / rows
            self._field(np.ma.asarray(values), image, x, y)
            return
        pixels = image.to_rgba(values, bytes=True)
        picture = Image.fromarray(np.ascontiguousarray(pixels if image.origin == "upper" else pixels[::-1]))
        x0, x1, y0, y1 = *sorted((left, right)), *sorted((low, high))
        self.layers.append(
            {
                "source": as_address(picture),
                "xref": "x",
                "yref": "y",
                "x": x0,
                "y": y1,
                "sizex": x1 - x0,
                "sizey": y1 - y0,
                "sizing": "stretch",
                "layer": "below",
            }
        )

    def _field(self, values: NDArray[Any], part: Any, x: NDArray[Any], y: NDArray[Any]) -> None:
        from matplotlib.colors import LogNorm

        table: NDArray[Any] = np.ma.filled(np.ma.asarray(values, float), np.nan)
        while table.size > MOST_CELLS:
            table = table[: len(table) // 2 * 2, : table.shape[1] // 2 * 2]
            x, y = x[: table.shape[1]].reshape(-1, 2).mean(1), y[: len(table)].reshape(-1, 2).mean(1)
            table = np.nanmean(np.stack([table[i::2, j::2] for i in (0, 1) for j in (0, 1)]), axis=0)
        low, high = (float(limit) for limit in part.get_clim())
        shown = [numbers(row) for row in table]
        trace: Trace = {
            "type": "heatmap",
            "x": numbers(x),
            "y": numbers(y),
            "colorscale": scale_of(part.cmap),
            "hoverongaps": False,
        }
        if isinstance(part.norm, LogNorm):
            with np.errstate(divide="ignore", invalid="ignore"):
                logs = np.log10(table)
            trace |= {
                "z": [numbers(row) for row in logs],
                "zmin": math.log10(low),
                "zmax": math.log10(high),
                "text": shown,
            }
        else:
            trace |= {"z": shown, "zmin": low, "zmax": high}
        if part.colorbar is not None:
            trace["colorbar"] = self._bar(part)
        else:
            trace["showscale"] = False
        name = in_html(part.colorbar.ax.get_ylabel()) if part.colorbar is not None else "value"
        trace["hovertemplate"] = (
            f"{self.x or 'x'} %{{x}}<br>{self.y or 'y'} %{{y}}<br>{name or 'value'} %{{z:.4g}}<extra></extra>"
        )
        self.traces.append(trace)

    @staticmethod
    def _bar(part: Any) -> dict[str, Any]:
        bar = part.colorbar
        made: dict[str, Any] = {
            "title": {"text": in_html(bar.ax.get_ylabel()), "side": "right"},
            "thickness": 12,
            "len": 0.9,
            "outlinewidth": 0,
        }
        texts = [text.get_text() for text in bar.ax.get_yticklabels()]
        places = list(bar.get_ticks())
        if has_words(texts) and len(texts) == len(places):
            made |= {"tickvals": numbers(places), "ticktext": [in_html(text) for text in texts]}
        return made

    def _text(self, text: Any) -> None:
        from matplotlib.text import Annotation

        words = in_html(text.get_text())
        if not words or not text.get_visible():
            return
        note: dict[str, Any] = {
            "text": words,
            "showarrow": False,
            "font": {"size": 11, "color": colour(text.get_color(), text.get_alpha())},
        }
        x, y = text.get_position()
        if isinstance(text, Annotation):
            x, y = text.xy
            both = text.xycoords if isinstance(text.xycoords, tuple) else (text.xycoords, text.xycoords)
            in_x, in_y = (
                (kind == "data" for kind in both) if all(isinstance(kind, str) for kind in both) else (True, True)
            )
            if text.anncoords == "offset points":
                note |= {"xshift": float(text.xyann[0]), "yshift": float(text.xyann[1])}
        else:
            in_x, in_y = text.get_transform().contains_branch_seperately(self.axes.transData)
        for axis, value, inside in (("x", x, in_x), ("y", y, in_y)):
            number = (
                float(self._to_axis(np.array([float(value)]), getattr(self.axes, f"{axis}axis"))[0])
                if inside
                else float(value)
            )
            if not math.isfinite(number):
                return
            note |= {axis: float(f"{number:.{DIGITS}g}"), f"{axis}ref": axis if inside else f"{axis} domain"}
        note["xanchor"] = {"left": "left", "right": "right"}.get(text.get_ha(), "center")
        note["yanchor"] = {"top": "top", "bottom": "bottom", "baseline": "bottom"}.get(text.get_va(), "middle")
        if note["xref"] == "x" and note["xanchor"] == "left":  # words near the edge stand before their point
            first, last = self._range(self.axes.xaxis)
            if last != first and (note["x"] - first) / (last - first) > 0.65:
                note |= {"xanchor": "right", "xshift": -float(note.get("xshift", 0))}
        self.notes.append(note)

    # Names

    def _add(self, trace: Trace, label: Any, artist: Any = None, places: Any = None) -> None:
        """A trace with its name and what hovering says."""
        naming = self._naming(label)
        trace |= {"showlegend": False} | naming
        if trace.get("hoverinfo") != "skip":
            error = " ± %{error_y.array:.2g}" if "error_y" in trace and trace["error_y"].get("symmetric", True) else ""
            trace["hovertemplate"] = (
                f"{self.x or 'x'} %{{x}}<br>{self.y or 'y'} %{{y:.5g}}{error}<extra>{naming.get('name', '')}</extra>"
            )
        images: Hovered | None = getattr(artist, "hovered", None)
        if images is not None:
            count = len(trace["x"])
            rows = np.arange(count) if places is None else np.asarray(places)[:count]
            trace["images"] = images.packed(rows)
        self.traces.append(trace)

    def _naming(self, label: Any) -> dict[str, Any]:
        words = str(label or "")
        if words.startswith("_") or words not in self.legend:
            return (
                {"showlegend": False}
                if not words or words.startswith("_")
                else {"name": in_html(words), "showlegend": False}
            )
        again = words in self.named
        self.named.add(words)
        return {"name": in_html(words), "showlegend": not again, "legendgroup": in_html(words)}

    def _missing_names(self) -> None:
        """Entries of a legend that were given by hand."""
        for words, handle in zip(self.legend, self.handles, strict=False):
            if words in self.named or words.startswith("_"):
                continue
            trace: Trace = {
                "type": "scatter",
                "x": [None],
                "y": [None],
                "name": in_html(words),
                "showlegend": True,
                "hoverinfo": "skip",
            }
            if hasattr(handle, "get_marker"):
                marker = str(handle.get_marker())
                dotted = marker not in ("None", "none", " ", "")
                trace |= {
                    "mode": "markers" if dotted else "lines",
                    "line": {"color": colour(handle.get_color()), "dash": dash(handle)},
                }
                if dotted:
                    trace["marker"] = self._marker(marker, 6, handle.get_markerfacecolor(), handle.get_alpha())
            else:
                face = handle.get_facecolor() if hasattr(handle, "get_facecolor") else style.GREY
                trace |= {"mode": "markers", "marker": {"symbol": "square", "size": 10, "color": colour(face)}}
            self.traces.append(trace)

    def _alt(self) -> str:
        axes = self.axes
        names = [in_words(name) for name in dict.fromkeys(self.legend)]
        across = f"{in_words(axes.get_ylabel()) or 'values'} over {in_words(axes.get_xlabel()) or 'their number'}"
        words = [f"Plot: {in_words(title_of(axes)) or across}"]
        if title_of(axes):
            words.append(across)
        if names:
            words.append("showing " + ", ".join(names))
        said = [in_words(note.get_text()) for note in axes.texts if len(note.get_text()) > 3][:4]
        return ". ".join(words) + (". " + "; ".join(said) if said else "") + "."

    # Axes

    def _range(self, axis: Axis) -> list[float]:
        ends = [float(v) for v in axis.get_view_interval()]
        if axis.get_inverted():
            ends = sorted(ends, reverse=True)
        made = self._to_axis(np.array(ends), axis)
        return [float(f"{v:.{DIGITS}g}") for v in made]

    @staticmethod
    def _to_axis(values: NDArray[Any], axis: Axis) -> NDArray[Any]:
        """Places as plotly counts them: on an axis of logarithms by their logarithms."""
        if axis.get_scale() != "log":
            return values
        with np.errstate(divide="ignore", invalid="ignore"):
            logs: NDArray[Any] = np.log10(values)
        return logs

    def _axis(self, axis: Axis, label: str) -> dict[str, Any]:
        scale = axis.get_scale()
        made: dict[str, Any] = {
            "title": {"text": label},
            "type": "log" if scale == "log" else "linear",
            "range": self._range(axis),
            "showgrid": bool(axis.get_gridlines() and axis.get_gridlines()[0].get_visible()),
        }
        if not all(map(math.isfinite, made["range"])):
            made.pop("range")
        texts = [text.get_text() for text in axis.get_ticklabels()]
        places = [float(place) for place in axis.get_ticklocs()]
        if not places or not self.axes.axison:
            made |= {"showticklabels": False, "ticks": ""}
        elif has_words(texts) and len(texts) == len(places) and len(places) <= 40:
            made |= {"tickmode": "array", "tickvals": numbers(places), "ticktext": [in_html(text) for text in texts]}
        elif scale == "log":
            first, last = made.get("range", (0.0, 9.0))
            made |= {"exponentformat": "power", "dtick": 1 if abs(last - first) > 1.5 else "D2"}
            if abs(last - first) < NARROW:
                made |= {"tickmode": "array", "tickvals": numbers(places), "ticktext": [f"{v:.3g}" for v in places]}
        elif scale == "linear" and all(place == round(place) for place in places) and "range" in made:
            reach = abs(made["range"][1] - made["range"][0])
            if reach <= 12:
                made["dtick"] = 1
        elif scale not in ("linear", "log"):
            made |= {"type": "linear"}
        return made

    def _layout(self) -> dict[str, Any]:
        axes = self.axes
        layout: dict[str, Any] = {
            "xaxis": self._axis(axes.xaxis, self.x),
            "yaxis": self._axis(axes.yaxis, self.y),
            "shapes": self.shapes,
            "annotations": self.notes,
            "images": self.layers,
            "barmode": "overlay",
            "showlegend": bool(self.legend),
        }
        if axes.get_aspect() == 1.0:
            layout["yaxis"] |= {"scaleanchor": "x", "scaleratio": 1}
        beyond = [note for note in self.notes if note["xref"] == "x domain" and note["x"] > 1]
        if beyond:
            layout["margin"] = {"r": 44}
        return layout
