// [data-plot]: draws what stands in its table, again when the theme or the width changes.
const drawn = new WeakMap();

export function draw(root) {
  if (!window.uPlot) return;
  for (const figure of root.querySelectorAll("[data-plot]")) if (!drawn.has(figure)) plot(figure);
}

document.addEventListener("theme", () => {
  for (const figure of document.querySelectorAll("[data-plot]")) if (drawn.has(figure)) plot(figure);
});

const widths = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const chart = drawn.get(target.closest("[data-plot]"));
    if (chart && Math.abs(chart.width - contentRect.width) > 1) {
      chart.setSize({ width: contentRect.width, height: chart.height });
    }
  }
});

function plot(figure) {
  const canvas = figure.querySelector(".plot-canvas");
  drawn.get(figure)?.destroy();
  const { headings, columns } = read(figure.querySelector("table"));
  const style = getComputedStyle(figure);
  const colour = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--faint-ink"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  const options = {
    width: canvas.clientWidth,
    height: 180,
    legend: { show: false },
    cursor: { y: false, drag: { x: false } },
    scales: { y: { range: (_, low, high) => [0, Math.max(4, high * 1.1)] } },
    axes: [
      { ...axis, values: clock, space: 60, size: 28 },
      { ...axis, size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 1e4, 1e5, 1e6] },
    ],
    series: [{}, ...headings.slice(1).map((label, index) => series(label, colour(`--plot-${index + 1}`)))],
  };
  drawn.set(figure, new window.uPlot(options, columns, canvas));
  widths.observe(canvas);
}

function series(label, stroke) {
  return { label, stroke, width: 2, fill: `color-mix(in srgb, ${stroke} 12%, transparent)`, points: { show: false } };
}

function clock(_, seconds) {
  return seconds.map((second) => new Date(second * 1000).toISOString().slice(11, 16));
}

function read(table) {
  const rows = [...table.tBodies[0].rows];
  const numbers = (index) => rows.map((row) => Number(row.cells[index].textContent));
  const headings = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  const times = rows.map((row) => Date.parse(row.querySelector("time").dateTime) / 1000);
  return { headings, columns: [times, ...headings.slice(1).map((_, index) => numbers(index + 1))] };
}
