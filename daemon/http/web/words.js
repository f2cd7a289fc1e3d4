// Figures in the words of people.
import { sum } from "./overview.js";

/** @typedef {import("./types.js").Stream} Stream */
/** @typedef {import("./types.js").Found} Found */

const PLURALS = new Map([["body", "bodies"]]);

/**
 * What a state is like: good, changing, bad, or quiet.
 * @param {string} state
 */
export function mood(state) {
  if (state === "running") return "good";
  if (["starving", "stalled", "waiting"].includes(state)) return "bad";
  return ["paused", "ended", "stopped"].includes(state) ? "quiet" : "changing";
}

/**
 * Whether pictures come: else the last one is old.
 * @param {Stream} stream
 */
export function isAtWork({ state }) {
  return state === "running" || state === "starving";
}

/** @param {Record<string, number>} found */
export function foundWords(found) {
  const words = Object.entries(found).map(([label, count]) => counted(count, label));
  return words.join(", ") || "nobody";
}

/**
 * @param {number} count
 * @param {string} noun
 */
export function counted(count, noun) {
  return `${count} ${count === 1 ? noun : (PLURALS.get(noun) ?? `${noun}s`)}`;
}

/** @param {number | null | undefined} value */
export function rate(value) {
  if (value === null || value === undefined) return "–";
  return value >= 10 ? value.toFixed(0) : value.toFixed(1);
}

/** @param {number | null | undefined} seconds */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return seconds < 3600 ? `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s` : `${(seconds / 3600).toFixed(1)} h`;
}

/**
 * Rate and latency in one line.
 * @param {Stream} stream
 */
export function pace({ status }) {
  const rates = status?.rates.last_10_s;
  if (!rates) return "";
  const words = [`${rate(rates.acknowledged)} documents/s`];
  if (status.latency) words.push(`${duration(status.latency.p50)} from capture`);
  return words.join(", ");
}

/**
 * What is lost, and why; empty: nothing.
 * @param {Stream} stream
 */
export function losses({ status }) {
  const rates = status?.rates.last_10_s;
  if (!rates) return "";
  const wanted = rates.acknowledged + sum(rates.dropped) + sum(rates.failed);
  const share = (/** @type {number} */ lost) => `${Math.round((100 * lost) / wanted)} %`;
  const words = [];
  if (sum(rates.dropped)) words.push(`drops ${share(sum(rates.dropped))} of its frames: ${Object.keys(rates.dropped).join(", ")}`);
  if (sum(rates.failed)) words.push(`${share(sum(rates.failed))} fail: ${Object.keys(rates.failed).join(", ")}`);
  return words.join("; ");
}

/**
 * What is known of an object, in words.
 * @param {Found} obj
 */
export function description(obj) {
  const mask = obj.has_medical_mask ?? obj.mask;
  const quality = obj.quality?.["total_score"];
  return [
    [obj.gender?.toLowerCase(), obj.age].filter(Boolean).join(" "),
    strongest(obj),
    mask?.value && "mask",
    obj.liveness && (String(obj.liveness.value).toLowerCase() === "real" ? "real" : "not real"),
    quality !== undefined && `quality ${Math.round(100 * quality)}`,
    obj.pose && `yaw ${signed(obj.pose.yaw)} pitch ${signed(obj.pose.pitch)} roll ${signed(obj.pose.roll)}`,
    obj.zones?.length && `in ${obj.zones.join(", ")}`,
  ]
    .filter(Boolean)
    .join(", ");
}

/**
 * Class and number of the track; without one the confidence.
 * @param {Found} obj
 */
export function title(obj) {
  const number = obj.track_id?.split("-").at(-1);
  return number ? `${obj.class} ${number}` : obj.class;
}

/**
 * What has happened, without of whom.
 * @param {import("./types.js").TrackEvent} event
 */
export function happening({ event, reason, zone, line, object }) {
  const where = zone ? ` ${zone.name}` : line ? ` ${line.name}, ${line.direction}` : "";
  const dwell = zone?.dwell ? ` after ${duration(zone.dwell)}` : "";
  const why = reason && reason !== "outside" ? ` (${reason})` : "";
  const known = event === "updated" ? `: ${description({ ...object, pose: undefined, zones: undefined })}` : "";
  return `${event}${where}${dwell}${why}${known}`;
}

/** @param {string | number} time RFC 3339, or milliseconds since 1970 */
export function clock(time) {
  return new Date(time).toLocaleTimeString(undefined, { hour12: false });
}

/**
 * With the day, where it is another than today.
 * @param {string | number} time RFC 3339, or milliseconds since 1970
 */
export function moment(time) {
  const day = new Date(time).toLocaleDateString();
  const ofDay = clock(time);
  return day === new Date().toLocaleDateString() ? ofDay : `${day} ${ofDay}`;
}

/** @param {Found} obj */
function strongest({ emotions }) {
  if (!emotions?.length) return undefined;
  return emotions.reduce((best, one) => (one.confidence > best.confidence ? one : best)).emotion.toLowerCase();
}

/** @param {number} angle */
function signed(angle) {
  const degrees = Math.round(angle);
  return `${degrees < 0 ? "−" : "+"}${Math.abs(degrees)}°`;
}
