// Zones, lines, regions and masks as one thing: named points on the picture, in shares of its width and height.

/** @typedef {[number, number]} Point */
/** @typedef {"zones" | "lines" | "include" | "exclude" | "masks"} Kind */

/**
 * @typedef {Object} Shape
 * @property {number} key
 * @property {Kind} kind
 * @property {Point[]} points
 * @property {Record<string, any>} facts What else is set of it: its name, and what only some kinds have.
 */

/**
 * @typedef {Object} KindOfShape
 * @property {string} label
 * @property {string} hint
 * @property {boolean} isOpen A line.
 * @property {boolean} isNamed
 * @property {Point[]} first Where a new one is.
 */

/** @type {Record<Kind, KindOfShape>} */
export const KINDS = {
  zones: {
    label: "Zone",
    hint: "Says who is in it, who comes and who leaves.",
    isOpen: false,
    isNamed: true,
    first: [[0.35, 0.35], [0.65, 0.35], [0.65, 0.65], [0.35, 0.65]],
  },
  lines: {
    label: "Line",
    hint: "Counts who crosses it, and which way.",
    isOpen: true,
    isNamed: true,
    first: [[0.3, 0.6], [0.7, 0.6]],
  },
  include: {
    label: "Region that counts",
    hint: "Only what is in such a region is found.",
    isOpen: false,
    isNamed: false,
    first: [[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]],
  },
  exclude: {
    label: "Region that does not count",
    hint: "What is in it is left out.",
    isOpen: false,
    isNamed: false,
    first: [[0.4, 0.1], [0.6, 0.1], [0.6, 0.3], [0.4, 0.3]],
  },
  masks: {
    label: "Mask",
    hint: "Made black before anything looks at the picture: nothing below it is found, kept or shown.",
    isOpen: false,
    isNamed: false,
    first: [[0.4, 0.4], [0.6, 0.4], [0.6, 0.6], [0.4, 0.6]],
  },
};
export const ORDER = /** @type {Kind[]} */ (Object.keys(KINDS));

let count = 0;

/**
 * @param {Kind} kind
 * @param {Point[]} points
 * @param {Record<string, any>} [facts]
 * @returns {Shape}
 */
function shape(kind, points, facts = {}) {
  return { key: count++, kind, points, facts };
}

/**
 * A new one in the middle, named as no other is.
 * @param {Kind} kind
 * @param {Shape[]} others
 */
export function newShape(kind, others) {
  const { first, isNamed, isOpen, label } = KINDS[kind];
  const names = new Set(others.filter((other) => other.kind === kind).map(({ facts }) => facts["name"]));
  let number = 1;
  while (names.has(`${label.toLowerCase()} ${number}`)) number += 1;
  /** @type {Record<string, any>} */
  const facts = isNamed ? { name: `${label.toLowerCase()} ${number}` } : {};
  if (isOpen) facts["directions"] = ["in", "out"];
  return shape(kind, first, facts);
}

/**
 * @param {Record<string, any>} settings of a stream
 * @returns {Shape[]}
 */
export function shapesOf(settings) {
  const { zones = [], lines = [], regions, masks = [] } = settings;
  return [
    ...zones.map((/** @type {any} */ { polygon, ...facts }) => shape("zones", polygon, facts)),
    ...lines.map((/** @type {any} */ { points, ...facts }) => shape("lines", points, facts)),
    ...(regions?.include ?? []).map((/** @type {Point[]} */ points) => shape("include", points)),
    ...(regions?.exclude ?? []).map((/** @type {Point[]} */ points) => shape("exclude", points)),
    ...masks.map((/** @type {Point[]} */ points) => shape("masks", points)),
  ];
}

/**
 * The settings that these shapes are, as a merge patch: what there is none of goes back to its default.
 * @param {Shape[]} shapes
 */
export function patchOf(shapes) {
  const of = (/** @type {Kind} */ kind) => shapes.filter((one) => one.kind === kind);
  const polygons = (/** @type {Kind} */ kind) => of(kind).map(({ points }) => points);
  const orNull = (/** @type {any[]} */ list) => (list.length ? list : null);
  const regions = { include: polygons("include"), exclude: polygons("exclude") };
  return {
    zones: orNull(of("zones").map(({ facts, points }) => ({ ...facts, polygon: points }))),
    lines: orNull(of("lines").map(({ facts, points }) => ({ ...facts, points }))),
    regions: regions.include.length || regions.exclude.length ? regions : null,
    masks: orNull(polygons("masks")),
  };
}

/**
 * @param {Point[]} points
 * @param {number} place
 * @param {Point} to
 * @returns {Point[]}
 */
export function moved(points, place, to) {
  const within = /** @type {Point} */ (to.map((share) => Math.round(Math.min(Math.max(share, 0), 1) * 1000) / 1000));
  return points.map((point, index) => (index === place ? within : point));
}

/**
 * With a point in the middle of the side that follows a point.
 * @param {Point[]} points
 * @param {number} place
 * @returns {Point[]}
 */
export function split(points, place) {
  return [...points.slice(0, place + 1), middle(points, place), ...points.slice(place + 1)];
}

/**
 * @param {Point[]} points
 * @param {number} place
 * @returns {Point}
 */
export function middle(points, place) {
  const [x1, y1] = /** @type {Point} */ (points[place]);
  const [x2, y2] = /** @type {Point} */ (points[(place + 1) % points.length]);
  return [(x1 + x2) / 2, (y1 + y2) / 2];
}
