// What the daemon says of all streams, asked for every two seconds while the page is in view; and the last minutes of it.
import { call, Refused } from "./api.js";
import { useEffect, useState } from "./view.js";

/** @typedef {import("./types.js").Overview} Overview */
/** @typedef {import("./types.js").Stream} Stream */

const EVERY_MS = 2000;
const MOST_SAMPLES = 300; // ten minutes

/**
 * @typedef {Object} Sample Of a stream.
 * @property {number} at Seconds since 1970.
 * @property {number | null} documents A second.
 * @property {number | null} dropped A second.
 * @property {number | null} p50 Milliseconds.
 * @property {number | null} p95
 */

/** @type {{overview: Overview | null, error: Refused | null}} */
let latest = { overview: null, error: null };
/** @type {Set<() => void>} */
const listeners = new Set();
/** @type {Map<string, Sample[]>} */
const samples = new Map();
/** By how many milliseconds the daemon's clock is ahead of this one. */
let clockAhead = 0;
/** @type {number | undefined} */
let timer = undefined;

export async function refresh() {
  clearTimeout(timer);
  try {
    const asked = Date.now();
    const overview = /** @type {Overview} */ (await call("GET", "/overview"));
    clockAhead = Date.parse(overview.now) - (asked + Date.now()) / 2;
    latest = { overview, error: null };
    keep(overview);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    latest = { overview: error.status === 401 ? null : latest.overview, error };
  } finally {
    for (const listener of listeners) listener();
    clearTimeout(timer);
    if (listeners.size && !document.hidden) timer = setTimeout(refresh, EVERY_MS);
  }
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && listeners.size) refresh();
});

/**
 * Seconds from when a picture was captured until now, by the daemon's clock.
 * @param {number} capturedAt
 */
export function age(capturedAt) {
  return Math.max(Date.now() + clockAhead - capturedAt, 0) / 1000;
}

/**
 * The last minutes of a stream, as far as the page has been open.
 * @param {string} stream
 */
export function samplesOf(stream) {
  return samples.get(stream) ?? [];
}

/** The latest, and again whenever there is a later one. */
export function useOverview() {
  const [, draw] = useState(0);
  useEffect(() => {
    const listener = () => draw((count) => count + 1);
    listeners.add(listener);
    if (listeners.size === 1) refresh();
    return () => {
      listeners.delete(listener);
    };
  }, []);
  return latest;
}

/** @param {Overview} overview */
function keep(overview) {
  const at = Date.parse(overview.now) / 1000;
  const there = new Set(overview.streams.map(({ id }) => id));
  for (const stream of samples.keys()) if (!there.has(stream)) samples.delete(stream);
  for (const stream of overview.streams) {
    const kept = samples.get(stream.id) ?? [];
    kept.push(sampleOf(stream, at));
    if (kept.length > MOST_SAMPLES) kept.shift();
    samples.set(stream.id, kept);
  }
}

/**
 * @param {Stream} stream
 * @param {number} at
 * @returns {Sample}
 */
function sampleOf({ status }, at) {
  const rates = status?.rates.last_10_s;
  const inMs = (/** @type {number | undefined} */ seconds) => (seconds === undefined ? null : seconds * 1000);
  return {
    at,
    documents: rates ? rates.acknowledged : null,
    dropped: rates ? sum(rates.dropped) : null,
    p50: inMs(status?.latency?.p50),
    p95: inMs(status?.latency?.p95),
  };
}

/** @param {Record<string, number>} by */
export function sum(by) {
  return Object.values(by).reduce((total, one) => total + one, 0);
}
