// Draws zones, lines, regions and masks on a stream's picture, with the mouse, a finger or the keyboard.
import { call, Refused } from "./api.js";
import { pathOf } from "./controls.js";
import { refresh } from "./overview.js";
import { useEntry } from "./settings.js";
import { KINDS, middle, moved, newShape, ORDER, patchOf, shapesOf, split } from "./shapes.js";
import { Canvas, useVideo } from "./video.js";
import { html, useEffect, useRef, useState } from "./view.js";

/** @typedef {import("./shapes.js").Shape} Shape */
/** @typedef {import("./shapes.js").Kind} Kind */
/** @typedef {import("./shapes.js").Point} Point */
/** @typedef {import("./types.js").Stream} Stream */

const FORM = { width: 1280, fps: 2, draw: false };
const STEP = 0.01;
const LONG_STEP = 0.05;
/** @type {Record<string, Point>} */
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** @param {{stream: Stream}} props */
export function Places({ stream }) {
  const { entry, error, again } = useEntry(stream.id);
  if (error) return html`<p class="notice bad" role="alert">${error}</p>`;
  return entry && html`<${Editor} stream=${stream} entry=${entry} onSaved=${again} />`;
}

/** @param {{stream: Stream, entry: import("./settings.js").Entry, onSaved: () => Promise<void>}} props */
function Editor({ stream, entry, onSaved }) {
  const [shapes, setShapes] = useState(() => shapesOf(entry.settings));
  const [selected, setSelected] = useState(shapes[0]?.key ?? -1);
  const [refused, setRefused] = useState("");
  const [saved, setSaved] = useState(/** @type {Shape[] | null} */ (null));
  const isOfFile = entry.origin === "file";
  const change = (/** @type {number} */ key, /** @type {Partial<Shape>} */ to) =>
    setShapes((before) => before.map((one) => (one.key === key ? { ...one, ...to } : one)));
  const add = (/** @type {Kind} */ kind) => {
    const added = newShape(kind, shapes);
    setShapes([...shapes, added]);
    setSelected(added.key);
  };
  const remove = (/** @type {number} */ key) => setShapes(shapes.filter((one) => one.key !== key));
  const save = async () => {
    setRefused("");
    setSaved(null);
    try {
      await call("PATCH", pathOf(stream.id), patchOf(shapes), { "If-Match": entry.etag });
      await refresh();
      await onSaved();
      setSaved(shapes);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      setRefused(error.message);
    }
  };
  return html`<div class="places">
    <section class="look" aria-label="Picture with zones and lines">
      <${Drawing} stream=${stream} shapes=${shapes} selected=${selected} onSelect=${setSelected} onChange=${change} isFixed=${isOfFile} />
      <p class="under quiet">
        ${isOfFile ? "These are in the configuration file: change them there, then send SIGHUP." : "Drag the corners, or move to them by Tab and press the arrow keys; Delete takes one away. A + adds one."}
      </p>
    </section>
    <form
      class="card fields"
      onSubmit=${(/** @type {Event} */ event) => {
        event.preventDefault();
        save();
      }}
    >
      ${!shapes.length && html`<p class="empty">Nothing is drawn on this picture yet.</p>`}
      <ul class="shapes">
        ${shapes.map((one) => html`<${Facts} key=${one.key} shape=${one} isSelected=${one.key === selected} isFixed=${isOfFile} onSelect=${setSelected} onChange=${change} onRemove=${remove} />`)}
      </ul>
      ${!isOfFile &&
      html`
        <fieldset>
          <legend>Add</legend>
          <div class="choices">${ORDER.map((kind) => html`<button type="button" title=${KINDS[kind].hint} onClick=${() => add(kind)}>${KINDS[kind].label}</button>`)}</div>
        </fieldset>
        ${refused && html`<p class="notice bad" role="alert">${refused}</p>`}
        ${saved === shapes && html`<p class="notice good" role="status">Saved. It holds from the next picture of ${stream.name ?? stream.id} on.</p>`}
        <div class="buttons">
          <button type="submit" class="primary">Save</button>
          <button type="button" onClick=${() => setShapes(shapesOf(entry.settings))}>Undo all</button>
        </div>
      `}
    </form>
  </div>`;
}

/**
 * @param {{stream: Stream, shapes: Shape[], selected: number, isFixed: boolean, onSelect: (key: number) => void,
 *   onChange: (key: number, to: Partial<Shape>) => void}} props
 */
function Drawing({ stream, shapes, selected, isFixed, onSelect, onChange }) {
  const video = useVideo(FORM);
  const place = /** @type {{current: HTMLDivElement | null}} */ (useRef(null));
  const [ratio, setRatio] = useState((stream.width ?? 16) / (stream.height ?? 9));
  const current = shapes.find(({ key }) => key === selected);
  return html`<div class="frame drawn" ref=${place} style=${{ aspectRatio: String(ratio) }}>
    ${video &&
    stream.roles.includes("watch") &&
    html`<${Canvas}
      video=${video}
      stream=${stream.id}
      label=${`What ${stream.name ?? stream.id} sees`}
      onPicture=${(/** @type {import("./video.js").Picture} */ { bitmap }) => setRatio(bitmap.width / bitmap.height)}
    />`}
    <svg viewBox=${`0 0 ${ratio} 1`} preserveAspectRatio="none" aria-hidden="true">
      ${shapes.map((one) => html`<${Figure} key=${one.key} shape=${one} ratio=${ratio} isSelected=${one.key === selected} onSelect=${onSelect} />`)}
    </svg>
    ${current && !isFixed && html`<${Handles} key=${current.key} shape=${current} place=${place} onChange=${onChange} />`}
  </div>`;
}

/** @param {{shape: Shape, ratio: number, isSelected: boolean, onSelect: (key: number) => void}} props */
function Figure({ shape, ratio, isSelected, onSelect }) {
  const { kind, key, points } = shape;
  const drawn = points.map(([x, y]) => `${x * ratio},${y}`).join(" ");
  const className = `${kind}${isSelected ? " selected" : ""}`;
  const select = () => onSelect(key);
  if (!KINDS[kind].isOpen) return html`<polygon class=${className} points=${drawn} onPointerDown=${select} />`;
  return html`<g class=${className} onPointerDown=${select}>
    <polyline points=${drawn} />
    <path d=${arrow(points, ratio)} />
  </g>`;
}

/**
 * The first direction of a line: to the right of one who walks from its first point to its last.
 * @param {Point[]} points
 * @param {number} ratio
 */
function arrow(points, ratio) {
  const place = Math.floor((points.length - 1) / 2);
  const [x1, y1] = /** @type {Point} */ (points[place]);
  const [x2, y2] = /** @type {Point} */ (points[place + 1]);
  const [dx, dy] = [(x2 - x1) * ratio, y2 - y1];
  const length = Math.hypot(dx, dy) || 1;
  const [ax, ay] = [(-dy / length) * 0.09, (dx / length) * 0.09];
  const [mx, my] = [((x1 + x2) / 2) * ratio, (y1 + y2) / 2];
  const head = (/** @type {number} */ side) => `L ${mx + ax * 0.65 + side * ay * 0.3} ${my + ay * 0.65 - side * ax * 0.3}`;
  return `M ${mx} ${my} L ${mx + ax} ${my + ay} ${head(1)} M ${mx + ax} ${my + ay} ${head(-1)}`;
}

/**
 * @param {{shape: Shape, place: {current: HTMLDivElement | null}, onChange: (key: number, to: Partial<Shape>) => void}} props
 */
function Handles({ shape, place, onChange }) {
  const { key, kind, points, facts } = shape;
  const { isOpen, label } = KINDS[kind];
  const name = facts["name"] ?? label;
  const set = (/** @type {Point[]} */ to) => onChange(key, { points: to });
  const drag = (/** @type {number} */ index, /** @type {PointerEvent} */ event) => {
    const handle = /** @type {HTMLElement} */ (event.currentTarget);
    const area = place.current?.getBoundingClientRect();
    if (!area) return;
    handle.setPointerCapture(event.pointerId);
    handle.onpointermove = (moving) => set(moved(points, index, [(moving.clientX - area.left) / area.width, (moving.clientY - area.top) / area.height]));
    handle.onpointerup = () => {
      handle.onpointermove = null;
    };
  };
  const press = (/** @type {number} */ index, /** @type {KeyboardEvent} */ event) => {
    const towards = KEYS[event.key];
    const [x, y] = /** @type {Point} */ (points[index]);
    const step = event.shiftKey ? LONG_STEP : STEP;
    if (towards) set(moved(points, index, [x + step * towards[0], y + step * towards[1]]));
    else if ((event.key === "Delete" || event.key === "Backspace") && points.length > (isOpen ? 2 : 3)) set(points.filter((_, other) => other !== index));
    else return;
    event.preventDefault();
  };
  const at = (/** @type {Point} */ [x, y]) => ({ left: `${100 * x}%`, top: `${100 * y}%` });
  const sides = points.slice(0, isOpen ? -1 : undefined);
  return html`
    ${points.map(
      (point, index) => html`<button
        type="button"
        class="handle"
        key=${`corner ${index}`}
        style=${at(point)}
        aria-label=${`Corner ${index + 1} of ${name}: ${percent(point[0])} from the left, ${percent(point[1])} from the top`}
        onPointerDown=${(/** @type {PointerEvent} */ event) => drag(index, event)}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => press(index, event)}
      />`,
    )}
    ${sides.map(
      (_, index) => html`<button
        type="button"
        class="handle plus"
        key=${`side ${index}`}
        style=${at(middle(points, index))}
        aria-label=${`Add a corner behind corner ${index + 1} of ${name}`}
        onClick=${() => set(split(points, index))}
      >
        +
      </button>`,
    )}
  `;
}

/**
 * @param {{shape: Shape, isSelected: boolean, isFixed: boolean, onSelect: (key: number) => void,
 *   onChange: (key: number, to: Partial<Shape>) => void, onRemove: (key: number) => void}} props
 */
function Facts({ shape, isSelected, isFixed, onSelect, onChange, onRemove }) {
  const { key, kind, facts } = shape;
  const { label, isNamed } = KINDS[kind];
  const item = /** @type {{current: HTMLLIElement | null}} */ (useRef(null));
  useEffect(() => {
    if (isSelected) item.current?.scrollIntoView({ block: "nearest" });
  }, [isSelected]);
  const set = (/** @type {string} */ fact, /** @type {unknown} */ value) => {
    const { [fact]: _, ...others } = facts;
    onChange(key, { facts: value === null ? others : { ...others, [fact]: value } });
  };
  const input = (/** @type {string} */ what, /** @type {unknown} */ value, /** @type {(text: string) => void} */ take, type = "text") =>
    html`<label class="fact"
      ><span>${what}</span>
      <input
        type=${type}
        min="0"
        step="any"
        required=${type === "text"}
        disabled=${isFixed}
        value=${value ?? ""}
        onFocus=${() => onSelect(key)}
        onInput=${(/** @type {{target: HTMLInputElement}} */ event) => take(event.target.value)}
    /></label>`;
  const direction = (/** @type {number} */ side, /** @type {string} */ text) =>
    set("directions", facts["directions"].map((/** @type {string} */ one, /** @type {number} */ index) => (index === side ? text : one)));
  return html`<li ref=${item} class=${isSelected ? "selected" : ""}>
    <div class="headline small">
      <button type="button" class="tab" aria-pressed=${isSelected} onClick=${() => onSelect(key)}><i class=${`mark ${kind}`} aria-hidden="true" />${label}</button>
      <span class="space" />
      ${!isFixed && html`<button type="button" class="danger" aria-label=${`Remove ${facts["name"] ?? label}`} onClick=${() => onRemove(key)}>Remove</button>`}
    </div>
    ${isNamed && input("Name", facts["name"], (text) => set("name", text))}
    ${kind === "zones" && input("Loitering after, s", facts["loitering"], (text) => set("loitering", text ? Number(text) : null), "number")}
    ${kind === "lines" &&
    html`<div class="row">
      ${input("With the arrow", facts["directions"][0], (text) => direction(0, text))} ${input("Against it", facts["directions"][1], (text) => direction(1, text))}
    </div>`}
  </li>`;
}

/** @param {number} share */
function percent(share) {
  return `${Math.round(100 * share)} %`;
}
