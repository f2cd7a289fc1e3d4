// Quality's measures as bars against their thresholds.
import { html } from "./view.js";

/**
 * @typedef {Object} Measure
 * @property {string} label
 * @property {string} member Of `quality` in version 2.
 * @property {string} verdict The member that says whether it is acceptable.
 * @property {string} [threshold] The setting of quality-assessment-estimator.
 * @property {number} most The bar's end.
 * @property {number} [scale] From the member to what is shown.
 * @property {string} [unit]
 * @property {boolean} [isLimit] What is above the threshold is not acceptable.
 * @property {boolean} [isFault] The verdict is true where it is not acceptable.
 */

/** @type {Measure[]} */
const MEASURES = [
  { label: "Sharpness", member: "sharpness_score", verdict: "is_sharp", threshold: "sharpness", most: 1 },
  { label: "Even light", member: "illumination_score", verdict: "is_evenly_illuminated", threshold: "illumination", most: 1 },
  { label: "Left eye open", member: "left_eye_openness_score", verdict: "is_left_eye_opened", threshold: "eye_openness", most: 1 },
  { label: "Right eye open", member: "right_eye_openness_score", verdict: "is_right_eye_opened", threshold: "eye_openness", most: 1 },
  { label: "Turned by", member: "max_rotation_deviation", verdict: "is_rotation_acceptable", threshold: "rotation", most: 90, unit: "°", isLimit: true },
  { label: "No mask", member: "not_masked_score", verdict: "not_masked", most: 1 },
  { label: "Calm face", member: "neutral_emotion_score", verdict: "is_neutral_emotion", threshold: "neutral_emotion", most: 1 },
  { label: "Between the eyes", member: "eyes_distance", verdict: "is_eyes_distance_acceptable", threshold: "eyes_distance", most: 240, unit: " px" },
  { label: "Little noise", member: "noise_score", verdict: "is_not_noisy", threshold: "noise", most: 1 },
  { label: "Watermark", member: "watermark_score", verdict: "has_watermark", threshold: "watermark", most: 1, isLimit: true, isFault: true },
  { label: "Range of greys", member: "dynamic_range_score", verdict: "is_dynamic_range_acceptable", threshold: "dynamic_range", most: 255, scale: 100 },
  { label: "Plain background", member: "background_uniformity_score", verdict: "is_background_uniform", threshold: "background_uniformity", most: 1 },
];

/** @param {{quality: Record<string, any>, thresholds: Record<string, number>, title: string}} props */
export function QualityBars({ quality, thresholds, title }) {
  const measured = inVersion2(quality);
  const total = Number(measured["total_score"]);
  return html`<figure class="quality">
    <figcaption><h3>${title} <b>${Math.round(100 * total)}</b> <span class="quiet">of 100</span></h3></figcaption>
    <ul>
      ${MEASURES.map((measure) => html`<${Bar} measure=${measure} quality=${measured} thresholds=${thresholds} />`)}
      <${Fact} label="No flare" good=${measured["no_flare"]} words="" />
      <${Fact}
        label="Size and place"
        good=${measured["is_margins_acceptable"]}
        words=${misfit(measured)}
      />
    </ul>
  </figure>`;
}

/** @param {{measure: Measure, quality: Record<string, any>, thresholds: Record<string, number>}} props */
function Bar({ measure, quality, thresholds }) {
  const { label, member, verdict, threshold, most, scale = 1, unit = "", isLimit, isFault } = measure;
  const value = Math.abs(Number(quality[member]) * scale);
  const limit = threshold === undefined ? undefined : thresholds[threshold];
  const good = Boolean(quality[verdict]) !== Boolean(isFault);
  const shown = `${most === 1 ? value.toFixed(2) : Math.round(value)}${unit}`;
  const wanted = limit === undefined ? "" : `${isLimit ? "at most" : "at least"} ${limit}${unit}`;
  return html`<li>
    <span>${label}</span>
    <svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label=${`${label}: ${shown}, ${wanted || "no threshold"}, ${good ? "acceptable" : "not acceptable"}`}>
      <rect class="ground" width="100" height="10" rx="2" />
      <rect class=${good ? "good" : "bad"} width=${(100 * Math.min(value, most)) / most} height="10" rx="2" />
      ${limit !== undefined && html`<rect class="limit" x=${(100 * limit) / most - 0.4} width="0.8" height="10" />`}
    </svg>
    <span class=${good ? "value" : "value lost"}>${shown}</span>
    <span class="quiet">${wanted}</span>
  </li>`;
}

/** @param {Record<string, any>} quality */
function misfit(quality) {
  const { margin_inner_deviation: inner, margin_outer_deviation: outer } = quality;
  return [inner && `${inner} px too small`, outer && `${outer} px too large`].filter(Boolean).join(", ");
}

/** @param {{label: string, good: boolean, words: string}} props */
function Fact({ label, good, words }) {
  return html`<li class="fact"><span>${label}</span><span class=${good ? "value" : "value lost"}>${good ? "yes" : `no${words ? `: ${words}` : ""}`}</span></li>`;
}

/**
 * Version 1 has whole scores, and its own casing.
 * @param {Record<string, any>} quality
 * @returns {Record<string, any>}
 */
function inVersion2(quality) {
  const v1 = quality["qaa"];
  if (!v1) return quality;
  const pairs = Object.entries(v1).map(([name, value]) => {
    const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    return [snake, snake.endsWith("_score") ? Number(value) / 100 : value];
  });
  return Object.fromEntries(pairs);
}
