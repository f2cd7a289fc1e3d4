// One stream: its picture, what is found on it, its tracks and events, and how it does.
import { call } from "./api.js";
import { Chart } from "./chart.js";
import { Controls } from "./controls.js";
import { age, samplesOf, sum } from "./overview.js";
import { Places } from "./places.js";
import { StreamSettings } from "./settings.js";
import { State } from "./streams.js";
import { Canvas, useVideo } from "./video.js";
import { html, useEffect, useRef, useState } from "./view.js";
import { clock, description, duration, foundWords, happening, isAtWork, losses, moment, rate, title } from "./words.js";

/** @typedef {import("./types.js").Stream} Stream */
/** @typedef {import("./types.js").Found} Found */
/** @typedef {import("./types.js").FrameDocument} FrameDocument */
/** @typedef {import("./types.js").TrackEvent} TrackEvent */
/** @typedef {{document: FrameDocument | null, raw: string, tracks: TrackEvent[], events: TrackEvent[]}} Seen */
/** @typedef {{id: string, object: Found, when: string, isGone: boolean}} Track As it is listed. */

const FORM = { width: 1280, fps: 10 };
const DRAW_MS = 250;
const MOST_EVENTS = 200;
const PAGE = 50; // events of the history at once
const MOST_TRACKS = 12;
const RATES = [
  { label: "documents", colour: "accent" },
  { label: "dropped", colour: "bad" },
];
const LATENCIES = [
  { label: "half within", colour: "accent" },
  { label: "95 % within", colour: "warn" },
];

/** @type {Record<string, {title: string, part: (props: {stream: Stream}) => unknown}>} */
const PARTS = {
  places: { title: "Zones and lines", part: Places },
  settings: { title: "Settings", part: StreamSettings },
};

/** @param {{stream: Stream, part: string, isKept: boolean}} props `isKept`: there is a history */
export function StreamPage({ stream, part, isKept }) {
  const shown = stream.roles.includes("control") ? PARTS[part] : undefined;
  return shown ? html`<${Part} stream=${stream} shown=${shown} />` : html`<${Seeing} stream=${stream} isKept=${isKept} />`;
}

/** @param {{stream: Stream, shown: {title: string, part: unknown}}} props */
function Part({ stream, shown }) {
  return html`
    <div class="headline">
      <a href="#/" class="back">Streams</a>
      <a href=${`#/streams/${encodeURIComponent(stream.id)}`} class="back">${stream.name ?? stream.id}</a>
      <h1 tabindex="-1">${shown.title}</h1>
    </div>
    <${shown.part} stream=${stream} />
  `;
}

/** @param {{stream: Stream, isKept: boolean}} props */
function Seeing({ stream, isKept }) {
  const [isGoing, setGoing] = useState(false);
  const watches = stream.roles.includes("watch") && !isGoing;
  const lost = losses(stream);
  return html`
    <div class="headline">
      <a href="#/" class="back">Streams</a>
      <h1 tabindex="-1">${stream.name ?? stream.id}</h1>
      <${State} stream=${stream} />
      <span class="space" />
      ${stream.roles.includes("control") && html`<${Controls} stream=${stream} onGoing=${setGoing} />`}
    </div>
    ${stream.error && html`<p class="notice bad" role="status">${stream.error}</p>`}
    ${lost && !stream.error && html`<p class="notice warn" role="status">It ${lost}.</p>`}
    ${watches ? html`<${Watched} stream=${stream} isKept=${isKept} />` : html`<${Figures} stream=${stream} />`}
  `;
}

/** @param {{stream: Stream, isKept: boolean}} props */
function Watched({ stream, isKept }) {
  const [draw, setDraw] = useState(true);
  const [picture, setPicture] = useState(/** @type {{capturedAt: number, behind: number} | null} */ (null));
  const video = useVideo({ ...FORM, draw });
  const seen = useSeen(stream.id, isKept);
  const isOld = !isAtWork(stream);
  return html`<div class="stream">
    <div class="column">
      <section class="look" aria-label="Picture">
      <div class="frame">
        ${video &&
        html`<${Canvas}
          video=${video}
          stream=${stream.id}
          label=${`What ${stream.name ?? stream.id} sees`}
          isOld=${isOld}
          onPicture=${(/** @type {import("./video.js").Picture} */ { capturedAt }) => setPicture({ capturedAt, behind: age(capturedAt) })}
        />`}
      </div>
      <div class="under">
        <label class="switch"
          ><input type="checkbox" checked=${draw} onChange=${() => setDraw(!draw)} /> Show what was found</label
        >
        <span class="space" />
        ${picture && html`<span class="quiet">${isOld ? `last picture ${moment(picture.capturedAt)}` : `captured ${duration(picture.behind)} ago`}</span>`}
      </div>
    </section>
    <${Figures} stream=${stream} />
    </div>
    <div class="column">
    <section class="card" aria-label="Found now">
      <h2>Now</h2>
      <${Now} seen=${seen} isOld=${isOld} />
    </section>
    ${seen.document?.places && html`<${Counts} places=${seen.document.places} />`}
    <section class="card" aria-label="Tracks">
      <h2>Tracks</h2>
      <${Tracks} stream=${stream} tracks=${tracksOf(seen, isOld)} />
    </section>
    <section class="card" aria-label="Events">
      <h2>Events</h2>
      <${Events} stream=${stream} events=${seen.events} more=${seen.more} />
    </section>
    </div>
  </div>`;
}

/** @param {{seen: Seen, isOld: boolean}} props */
function Now({ seen, isOld }) {
  const { document, raw } = seen;
  if (!document) return html`<p class="empty">No document has come yet.</p>`;
  return html`
    ${isOld && html`<p class="empty">No picture comes now. This is of ${moment(document.stream.captured_at)}.</p>`}
    ${document.objects.length
      ? html`<ul class="objects">
          ${document.objects.map(
            (obj) => html`<li key=${obj.track_id ?? obj.id}>
              <i class=${`dot ${obj.class}`} aria-hidden="true" /><b>${title(obj)}</b>
              ${obj.confidence !== undefined && html`<span class="quiet">${obj.confidence.toFixed(2)}</span>`}
              <span>${description(obj)}</span>
            </li>`,
          )}
        </ul>`
      : html`<p class="empty">Nobody is in the picture.</p>`}
    <details>
      <summary>The document as it is sent (frame ${document.stream.frame})</summary>
      <pre tabindex="0">${pretty(raw)}</pre>
    </details>
  `;
}

/** @param {{stream: Stream, tracks: Track[]}} props */
function Tracks({ stream, tracks }) {
  if (!tracks.length) return html`<${None} stream=${stream} untold="None in view. Who has left is not listed." />`;
  return html`<ul class="tracks">
    ${tracks.map(
      ({ id, object, when, isGone }) => html`<li key=${id} class=${isGone ? "gone" : ""}>
        ${object._image || object.image_url
          ? html`<img src=${pictureOf(object)} loading="lazy" alt=${`Best shot of ${title({ ...object, track_id: id })}`} />`
          : html`<span class="shape" aria-hidden="true"><i class=${`dot ${object.class}`} /></span>`}
        <b>${title({ ...object, track_id: id })}</b>
        <span class="quiet">${description({ ...object, pose: undefined }) || "–"}</span>
        <span class="quiet">${when}</span>
      </li>`,
    )}
  </ul>`;
}

/**
 * Those in view of which no event has been heard, then those of events.
 * @param {Seen} seen
 * @param {boolean} isOld nobody is in view now
 * @returns {Track[]}
 */
function tracksOf({ document, tracks }, isOld) {
  const told = new Set(tracks.map(({ track }) => track.id));
  const inView = isOld || !document ? [] : document.objects.flatMap(inViewOf).filter(({ id }) => !told.has(id));
  return [...inView, ...tracks.map(toldOf)];
}

/**
 * A document's picture of it is another on each frame, and is left out.
 * @param {Found} object
 * @returns {Track[]} none, if it is not followed
 */
function inViewOf({ _image, image_url, ...object }) {
  return object.track_id ? [{ id: object.track_id, object, when: "in view", isGone: false }] : [];
}

/**
 * @param {TrackEvent} event
 * @returns {Track}
 */
function toldOf({ track, object, event }) {
  const isGone = event === "left";
  const when = `${clock(track.first_seen)}${isGone ? `–${clock(track.last_seen)}` : ", still here"}`;
  return { id: track.id, object, when, isGone };
}

/**
 * Why nothing is listed, and for those who may change it where.
 * @param {{stream: Stream, untold: string}} props `untold`: what is said where tracks have no events
 */
function None({ stream, untold }) {
  if (stream.events) return html`<p class="empty">None yet.</p>`;
  const [why, remedy] = stream.tracks ? [untold, "Tell when they come and go"] : ["Not followed.", "Follow faces and bodies"];
  const settings = `#/streams/${encodeURIComponent(stream.id)}/settings`;
  return html`<p class="empty">
    ${why} ${stream.roles.includes("control") && html`Turn on “${remedy}” in <a href=${settings}>Settings</a>.`}
  </p>`;
}

/**
 * @param {{stream: Stream, events: TrackEvent[], more: (() => void) | null}} props `more`: asks for older ones; null:
 *   there are none
 */
function Events({ stream, events, more }) {
  if (!events.length) return html`<${None} stream=${stream} untold="No events are made." />`;
  return html`<ol class="events" tabindex="0" aria-label="Events, the newest first">
    ${events.map(
      (event) => html`<li key=${keyOf(event)}>
        <time class="quiet" datetime=${event.stream.captured_at}>${clock(event.stream.captured_at)}</time>
        <span><b>${title({ ...event.object, track_id: event.track.id })}</b> ${happening(event)}</span>
      </li>`,
    )}
    ${more && html`<li><button type="button" onClick=${more}>Older ones</button></li>`}
  </ol>`;
}

/** @param {{places: import("./types.js").Places}} props */
function Counts({ places }) {
  return html`<section class="card" aria-label="Zones and lines">
    <h2>Zones and lines</h2>
    <ul class="counts">
      ${Object.entries(places.zones).map(
        ([name, { now, entered }]) => html`<li>
          <b><i class="mark zones" aria-hidden="true" />${name}</b><span>${foundWords(there(now))}</span>
          <span class="quiet">${entered ? `${foundWords(there(entered))} so far` : ""}</span>
        </li>`,
      )}
      ${Object.entries(places.lines).map(
        ([name, directions]) => html`<li>
          <b><i class="mark lines" aria-hidden="true" />${name}</b>
          <span>${Object.entries(directions).map(([direction, counts]) => `${direction} ${sum(counts)}`).join(", ")}</span>
        </li>`,
      )}
    </ul>
  </section>`;
}

/**
 * Without those of whom there is none.
 * @param {Record<string, number>} counts
 */
function there(counts) {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count));
}

/** @param {{stream: Stream}} props */
function Figures({ stream }) {
  const { status } = stream;
  if (!status) return null;
  const samples = samplesOf(stream.id);
  const column = (/** @type {keyof import("./overview.js").Sample} */ name) => samples.map((sample) => sample[name]);
  const rates = status.rates.last_10_s;
  return html`<section class="card figures" aria-label="How it does">
    <h2>How it does</h2>
    <dl>
      <${Figure} name="Source" value=${`${status.video.codec ?? "–"} ${stream.width ?? "–"} × ${stream.height ?? "–"}`} />
      <${Figure} name="Comes at" value=${`${rate(status.video.fps)} frames/s`} />
      <${Figure} name="Documents" value=${`${rate(rates?.acknowledged)} a second`} />
      <${Figure} name="From capture" value=${status.latency ? `${duration(status.latency.p50)}, 95 % in ${duration(status.latency.p95)}` : "–"} />
      <${Figure} name="Frames so far" value=${status.frames.received.toLocaleString()} />
      <${Figure} name="Restarts" value=${String(status.restarts)} />
    </dl>
    <${Chart} title="A second" unit="/s" lines=${RATES} data=${[column("at"), column("documents"), column("dropped")]} />
    <${Chart} title="From capture to the sinks" unit="ms" lines=${LATENCIES} data=${[column("at"), column("p50"), column("p95")]} />
  </section>`;
}

/** @param {{name: string, value: string}} props */
function Figure({ name, value }) {
  return html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
}

/**
 * What the stream tells, drawn four times a second however often it comes, and what the history has of it.
 * @param {string} stream
 * @param {boolean} isKept
 * @returns {Seen & {more: (() => void) | null}}
 */
function useSeen(stream, isKept) {
  /** @type {Seen} */
  const nothing = { document: null, raw: "", tracks: [], events: [] };
  const [seen, setSeen] = useState(nothing);
  const [next, setNext] = useState(/** @type {string | null} */ (null));
  const latest = /** @type {{current: Seen}} */ (useRef(nothing));
  const kept = async (/** @type {string} */ selection) => {
    const { events, next } = await call("GET", `/history?stream=${encodeURIComponent(stream)}&limit=${PAGE}${selection}`);
    return { events: /** @type {TrackEvent[]} */ (events.map((/** @type {{data: TrackEvent}} */ { data }) => data)), next };
  };
  const older = async (/** @type {string} */ after) => {
    const { events, next } = await kept(after && `&after=${after}`);
    latest.current = withEvents(latest.current, events);
    setNext(next);
  };
  const tracks = async () => {
    const { events } = await kept("&type=track"); // there may be many more events of zones and lines
    latest.current = { ...latest.current, tracks: latestOfEach([...latest.current.tracks, ...events]) };
  };
  useEffect(() => {
    latest.current = nothing;
    const source = new EventSource(`/streams/${encodeURIComponent(stream)}/events`);
    source.addEventListener("frame", ({ data }) => {
      latest.current = { ...latest.current, raw: data };
    });
    for (const type of ["track", "place"]) {
      source.addEventListener(type, ({ data }) => {
        latest.current = withEvents(latest.current, [JSON.parse(data)]);
      });
    }
    if (isKept) {
      older("");
      tracks();
    }
    let parsed = "";
    const timer = setInterval(() => {
      const { raw } = latest.current;
      if (raw !== parsed) latest.current = { ...latest.current, document: JSON.parse(raw) };
      parsed = raw;
      setSeen(latest.current);
    }, DRAW_MS);
    return () => {
      clearInterval(timer);
      source.close();
    };
  }, [stream]);
  return { ...seen, more: next === null ? null : () => older(next) };
}

/**
 * With these, the newest first.
 * @param {Seen} seen
 * @param {TrackEvent[]} events
 * @returns {Seen}
 */
function withEvents(seen, events) {
  const all = new Map([...events, ...seen.events].map((event) => [keyOf(event), event]));
  return {
    ...seen,
    tracks: latestOfEach([...seen.tracks, ...events]),
    events: [...all.values()].sort(newestFirst).slice(0, MOST_EVENTS),
  };
}

/**
 * Of each track the latest event that is of itself; those that are still here first.
 * @param {TrackEvent[]} events
 */
function latestOfEach(events) {
  /** @type {Map<string, TrackEvent>} */
  const tracks = new Map();
  for (const event of events.filter(({ zone, line }) => !zone && !line).sort(newestFirst)) {
    if (!tracks.has(event.track.id)) tracks.set(event.track.id, event);
  }
  const isGone = (/** @type {TrackEvent} */ { event }) => Number(event === "left");
  return [...tracks.values()].sort((one, other) => isGone(one) - isGone(other)).slice(0, MOST_TRACKS);
}

/**
 * @param {TrackEvent} one
 * @param {TrackEvent} other
 */
function newestFirst(one, other) {
  return timeOf(other) - timeOf(one);
}

/** @param {TrackEvent} event */
function timeOf({ stream }) {
  return Date.parse(stream.captured_at);
}

/** @param {TrackEvent} event */
function keyOf({ event, track, zone, line, stream }) {
  return [track.id, event, zone?.name ?? line?.name, stream.captured_at].join(" ");
}

/** @param {string} raw */
function pretty(raw) {
  return JSON.stringify(JSON.parse(raw), (name, value) => (name === "blob" ? `${value.slice(0, 24)}…` : value), 2);
}

/** @type {Map<string, string>} */
const pictures = new Map();
const MOST_PICTURES = 200;

/**
 * The address of an object's picture; those of pictures in base64 that are kept longest go.
 * @param {Found} obj
 */
function pictureOf({ _image, image_url = "" }) {
  if (!_image) {
    const { pathname, search } = new URL(image_url, location.href); // this daemon's, by whatever name it calls itself
    return pathname + search;
  }
  const { blob } = _image;
  const kept = pictures.get(blob);
  if (kept) return kept;
  const bytes = Uint8Array.from(atob(blob), (char) => char.charCodeAt(0));
  const url = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
  pictures.set(blob, url);
  const [oldest] = pictures;
  if (pictures.size > MOST_PICTURES && oldest) {
    URL.revokeObjectURL(oldest[1]);
    pictures.delete(oldest[0]);
  }
  return url;
}
