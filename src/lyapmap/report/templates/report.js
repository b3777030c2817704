"use strict";
(async () => {
  async function unpacked(id) {
    const text = document.getElementById(id).textContent;
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).text();
  }

  const data = JSON.parse(await unpacked("data"));
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colours = () => data.colours[dark.matches ? "dark" : "light"];

  // Other colours are taken towards ink until they can be told from the page.
  function luminance(parts) {
    const [red, green, blue] = parts.map((part) => (part <= 10 ? part / 3294 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }
  const partsOf = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  function seen(rgba) {
    const [alpha, ...rest] = rgba.slice(5, -1).split(",").map(Number).reverse();
    let parts = rest.reverse();
    if (!alpha) return rgba;
    const ground = luminance(partsOf(colours().card)), ink = partsOf(colours().ink);
    const apart = () => {
      const [low, high] = [ground, luminance(parts)].sort((a, b) => a - b);
      return (high + 0.05) / (low + 0.05);
    };
    for (let tries = 0; tries < 8 && apart() < 3; tries++) parts = parts.map((part, i) => Math.round(0.8 * part + 0.2 * ink[i]));
    return `rgba(${parts.join(",")},${alpha})`;
  }

  // Colours have names, "@blue" or "@blue/0.3", which light and dark pages fill in.
  function dressed(value) {
    if (typeof value === "string" && value[0] === "@") {
      const [name, alpha] = value.slice(1).split("/");
      const hex = colours()[name];
      if (!hex) return value;
      return `rgba(${partsOf(hex).join(",")},${alpha || 1})`;
    }
    if (typeof value === "string" && value.startsWith("rgba(")) return seen(value);
    if (Array.isArray(value)) return value.map(dressed);
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, dressed(part)]));
    return value;
  }

  // Images

  const sheets = new Map();
  function sheet(of) {
    if (!sheets.has(of.source)) {
      const image = new Image();
      image.src = of.source;
      sheets.set(of.source, image.decode().then(() => image));
    }
    return sheets.get(of.source);
  }
  function paint(context, image, of, number, x, y, scale) {
    const left = (number % of.columns) * of.width, top = Math.floor(number / of.columns) * of.height;
    context.imageSmoothingEnabled = false;
    context.drawImage(image, left, top, of.width, of.height, x, y, of.width * scale, of.height * scale);
  }
  const card = document.getElementById("hover");
  let under = 0;
  async function showImage(of, number, x, y) {
    const turn = ++under, image = await sheet(of), canvas = card.firstElementChild;
    if (turn !== under) return;
    const scale = Math.max(1, Math.round(112 / of.width));
    canvas.width = of.width * scale;
    canvas.height = of.height * scale;
    paint(canvas.getContext("2d"), image, of, number, 0, 0, scale);
    card.hidden = false;
    card.style.left = Math.min(x + 16, innerWidth - canvas.width - 16) + "px";
    card.style.top = Math.max(4, y - canvas.height - 24) + "px";
  }
  function hideImage() {
    under++;
    card.hidden = true;
  }

  // Films

  for (const [id, film] of Object.entries(data.films)) {
    const box = document.getElementById(id);
    const canvas = box.querySelector("canvas"), button = box.querySelector("button");
    const slider = box.querySelector("input"), said = box.querySelector("output");
    const columns = Math.min(film.rows, innerWidth < 600 ? 3 : 8), lines = Math.ceil(film.rows / columns);
    const scale = Math.max(1, Math.round((film.rows === 1 ? 224 : 112) / film.width)), gap = 4;
    canvas.width = columns * (film.width * scale + gap) - gap;
    canvas.height = lines * (film.height * scale + gap) - gap;
    const image = await sheet(film), context = canvas.getContext("2d");
    let timer = 0;
    const draw = () => {
      const step = +slider.value;
      for (let row = 0; row < film.rows; row++) {
        const x = (row % columns) * (film.width * scale + gap), y = Math.floor(row / columns) * (film.height * scale + gap);
        paint(context, image, film, row * film.steps.length + step, x, y, scale);
      }
      said.textContent = film.steps[step];
    };
    slider.addEventListener("input", draw);
    button.addEventListener("click", () => {
      button.textContent = timer ? "Play" : "Pause";
      clearInterval(timer);
      timer = timer ? 0 : setInterval(() => {
        slider.value = (+slider.value + 1) % film.steps.length;
        draw();
      }, 250);
    });
    draw();
    box.dataset.ready = "yes";
  }

  // Plots

  if (!document.getElementById("library")) return;
  const script = document.createElement("script");
  script.textContent = await unpacked("library");
  document.head.append(script);

  const touch = matchMedia("(pointer: coarse)").matches;
  const axis = (own) => ({
    gridcolor: "@pale", zeroline: false, linecolor: "@grey", ticks: "outside", tickcolor: "@grey", ticklen: 3, automargin: true, ...own,
    title: { ...own.title, standoff: 8, font: { size: innerWidth < 500 ? 11 : 13 } },
  });
  function whole(panel) {
    const { layout } = panel;
    return dressed({
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: "@ink", size: 12, family: "system-ui, sans-serif" },
      hovermode: "closest", dragmode: touch ? false : "zoom", hoverlabel: { bgcolor: "@card", bordercolor: "@grey", font: { color: "@ink" } },
      legend: { orientation: "h", itemsizing: "constant", y: -0.24, yanchor: "top", x: 0, font: { size: 11 } },
      ...layout, margin: { l: 56, r: 14, t: 8, b: 48, ...layout.margin }, xaxis: axis(layout.xaxis), yaxis: axis(layout.yaxis),
    });
  }
  const config = {
    responsive: true, displaylogo: false, displayModeBar: touch ? false : "hover", scrollZoom: false, showTips: false,
    modeBarButtonsToRemove: ["select2d", "lasso2d", "sendDataToCloud", "autoScale2d"],
  };
  const said = document.getElementById("said");

  async function draw(figure) {
    const panel = data.panels[figure.id], plot = figure.querySelector(".plot");
    await Plotly.react(plot, dressed(panel.traces), whole(panel), config);
    if (figure.dataset.ready) return;
    figure.dataset.ready = "yes";
    const imageOf = (point) => {
      const of = panel.traces[point.curveNumber].images;
      return of && of.places[point.pointNumber] >= 0 ? [of, of.places[point.pointNumber]] : null;
    };
    plot.on("plotly_hover", (event) => {
      const shown = event.points.map(imageOf).find(Boolean);
      const box = plot.getBoundingClientRect();
      const pointer = event.event && event.event.clientX !== undefined ? [event.event.clientX, event.event.clientY] : [box.left + 60, box.top + 60];
      if (shown) showImage(...shown, ...pointer);
      else hideImage();
    });
    plot.on("plotly_unhover", hideImage);
    // Keys: left and right from point to point, up and down from series to series.
    const places = panel.traces.flatMap((trace, curveNumber) =>
      trace.hoverinfo === "skip" || trace.type === "heatmap" ? []
        : trace.x.map((x, pointNumber) => ({ curveNumber, pointNumber })).filter((at) => trace.x[at.pointNumber] !== null && trace.y[at.pointNumber] !== null));
    let now = -1;
    figure.addEventListener("keydown", (event) => {
      const [along, across] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key] || [0, 0];
      if (!(along || across) || !places.length) return;
      event.preventDefault();
      if (across && now >= 0) {
        const firsts = places.map((at, i) => i).filter((i) => !i || places[i].curveNumber !== places[i - 1].curveNumber);
        const mine = firsts.findLastIndex((i) => i <= now);
        now = firsts[(mine + across + firsts.length) % firsts.length];
      } else now = (Math.max(now, along < 0 ? 0 : -1) + (along || 1) + places.length) % places.length;
      const at = places[now], trace = panel.traces[at.curveNumber];
      Plotly.Fx.hover(plot, [at]);
      said.textContent = `${trace.name || ""} ${trace.x[at.pointNumber]}, ${trace.y[at.pointNumber]}`;
    });
    figure.addEventListener("blur", hideImage);
  }

  const figures = [...document.querySelectorAll(".panel[id]")].filter((figure) => data.panels[figure.id]);
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) {
      watcher.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "800px" });
  figures.forEach((figure) => watcher.observe(figure));
  dark.addEventListener("change", () => figures.filter((figure) => figure.dataset.ready).forEach(draw));
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
  document.documentElement.dataset.ready = "yes";
})();
