// All streams as tiles.
import { foundWords, isAtWork, losses, moment, mood, pace } from "./words.js";
import { Canvas, useVideo } from "./video.js";
import { html, useRef, useState } from "./view.js";

/** @typedef {import("./types.js").Overview} Overview */
/** @typedef {import("./types.js").Stream} Stream */
/** @typedef {import("./video.js").Video} Video */

const FORM = { width: 480, fps: 2, draw: true };
const OF_STREAMS = ["watch", "metrics", "control"]; // roles
const SEARCH_FROM = 7; // streams

/** @param {{overview: Overview}} props */
export function Streams({ overview }) {
  const video = useVideo(FORM);
  const [wanted, setWanted] = useState("");
  const { streams, can_add } = overview;
  const shown = streams.filter((stream) => `${stream.id} ${stream.name ?? ""} ${stream.state}`.toLowerCase().includes(wanted.toLowerCase()));
  return html`
    <div class="headline">
      <h1 tabindex="-1">Streams</h1>
      <p class="quiet">${inShort(streams)}</p>
      <span class="space" />
      ${streams.length >= SEARCH_FROM &&
      html`<input
        type="search"
        aria-label="Find streams by id, name or state"
        placeholder="Find streams"
        value=${wanted}
        onInput=${(/** @type {{target: HTMLInputElement}} */ event) => setWanted(event.target.value)}
      />`}
      ${can_add && html`<a class="button primary" href="#/add">Add a stream</a>`}
    </div>
    ${!streams.length && html`<${None} overview=${overview} />`}
    <ul class="tiles">
      ${shown.map((stream) => html`<${Tile} key=${stream.id} stream=${stream} video=${video} />`)}
    </ul>
    ${streams.length > 0 && !shown.length && html`<p class="empty">No stream is like “${wanted}”.</p>`}
  `;
}

/** @param {{overview: Overview}} props */
function None({ overview }) {
  if (!overview.caller.roles.some((role) => OF_STREAMS.includes(role))) {
    return html`<p class="empty">This key is not for streams: those need one with the role watch, metrics or control.</p>`;
  }
  return html`<div class="empty">
    <p>There are no streams yet.</p>
    <p class="quiet">
      ${overview.can_add
        ? html`<a href="#/add">Add a stream</a>, or write it into the configuration file.`
        : "Write one into the configuration file, or set state_dir there: then streams can be added here."}
    </p>
  </div>`;
}

/** @param {{stream: Stream, video: Video | null}} props */
function Tile({ stream, video }) {
  const [found, setFound] = useState("");
  const capturedAt = /** @type {{current: number}} */ (useRef(0));
  const watches = stream.roles.includes("watch");
  const lost = losses(stream);
  return html`<li class="tile">
    <a href=${`#/streams/${encodeURIComponent(stream.id)}`}>
      <div class="frame">
        ${watches && video
          ? html`<${Canvas}
              video=${video}
              stream=${stream.id}
              label=${`What ${stream.name ?? stream.id} sees`}
              isOld=${!isAtWork(stream)}
              onPicture=${(/** @type {import("./video.js").Picture} */ picture) => {
                capturedAt.current = picture.capturedAt;
                setFound(foundWords(picture.found));
              }}
            />`
          : html`<div class="picture waits" />`}
        ${found && html`<span class="found">${isAtWork(stream) ? found : `last picture ${moment(capturedAt.current)}`}</span>`}
      </div>
      <div class="words">
        <h2>${stream.name ?? stream.id}</h2>
        <${State} stream=${stream} />
        <p class="quiet">${pace(stream)}</p>
        ${(stream.error || lost) && html`<p class="lost">${stream.error ?? lost}</p>`}
      </div>
    </a>
  </li>`;
}

/** @param {{stream: Stream}} props */
export function State({ stream }) {
  return html`<span class=${`state ${mood(stream.state)}`}>${stream.state}</span>`;
}

/**
 * How many there are in each state, those that run first.
 * @param {Stream[]} streams
 */
function inShort(streams) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  const isRunning = (/** @type {Stream} */ { state }) => Number(state === "running");
  const ordered = [...streams].sort((one, other) => isRunning(other) - isRunning(one));
  for (const { state } of ordered) counts.set(state, (counts.get(state) ?? 0) + 1);
  const words = [...counts].map(([state, count]) => `${count} ${state}`);
  return words.length === 1 && streams.length > 1 ? `all ${words[0]}` : words.join("; ");
}
