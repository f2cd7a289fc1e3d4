// Lines over the last minutes.
import uPlot from "./vendor/uPlot.js";
import { html, useEffect, useLayoutEffect, useRef } from "./view.js";

const HEIGHT = 150;
const DARK = window.matchMedia("(prefers-color-scheme: dark)");

/**
 * @typedef {Object} Line
 * @property {string} label
 * @property {string} colour A class of the key's mark, which has the colour.
 */

/**
 * @param {{title: string, unit: string, lines: Line[], data: (number | null)[][]}} props `data`: seconds since 1970, then
 * the values of each line
 */
export function Chart({ title, unit, lines, data }) {
  const place = /** @type {{current: HTMLDivElement | null}} */ (useRef(null));
  const chart = /** @type {{current: uPlot | null}} */ (useRef(null));
  useEffect(() => {
    const element = place.current;
    if (!element) return undefined;
    const open = () => {
      chart.current?.destroy();
      chart.current = new uPlot(options(lines, element), /** @type {uPlot.AlignedData} */ (data), element);
    };
    const observer = new ResizeObserver(() => chart.current?.setSize({ width: element.clientWidth, height: HEIGHT }));
    open();
    observer.observe(element);
    DARK.addEventListener("change", open);
    return () => {
      DARK.removeEventListener("change", open);
      observer.disconnect();
      chart.current?.destroy();
      chart.current = null;
    };
  }, []);
  useLayoutEffect(() => chart.current?.setData(/** @type {uPlot.AlignedData} */ (data)));
  const last = lines.map(({ label }, index) => `${label} ${value(data[index + 1]?.at(-1), unit)}`);
  return html`<figure class="chart">
    <figcaption>
      <span>${title}</span>
      ${lines.map(
        ({ label, colour }, index) =>
          html`<span class="key"><i class=${colour} aria-hidden="true" />${label} <b>${value(data[index + 1]?.at(-1), unit)}</b></span>`,
      )}
    </figcaption>
    <div ref=${place} role="img" aria-label=${`${title} over the last minutes; now ${last.join(", ")}`} />
  </figure>`;
}

/**
 * @param {number | null | undefined} figure
 * @param {string} unit
 */
function value(figure, unit) {
  if (figure === null || figure === undefined) return "–";
  return `${figure >= 10 ? figure.toFixed(0) : figure.toFixed(1)} ${unit}`;
}

/**
 * Of the mark of this class: a custom property is not resolved for light and dark.
 * @param {HTMLElement} element
 * @param {string} name
 */
function colourOf(element, name) {
  const mark = element.parentElement?.querySelector(`i.${name}`);
  return mark ? getComputedStyle(mark).backgroundColor : "gray";
}

/**
 * @param {Line[]} lines
 * @param {HTMLElement} element
 * @returns {uPlot.Options}
 */
function options(lines, element) {
  const style = getComputedStyle(element);
  const colour = (/** @type {string} */ name) => colourOf(element, name);
  const font = `11px ${style.fontFamily}`;
  const axis = { stroke: style.color, font, grid: { stroke: style.borderTopColor, width: 1 }, ticks: { show: false } };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 8, 0, 0],
    scales: { y: { range: (_, __, most) => [0, Math.max(most * 1.1, 1)] } },
    axes: [
      { ...axis, size: 28, space: 80, values: (_, ticks) => ticks.map((tick) => new Date(tick * 1000).toLocaleTimeString(undefined, { hour12: false, hour: "2-digit", minute: "2-digit", second: "2-digit" })) },
      { ...axis, size: 44, space: 36 },
    ],
    series: [{}, ...lines.map((line) => ({ label: line.label, stroke: colour(line.colour), width: 2, points: { show: false } }))],
  };
}
