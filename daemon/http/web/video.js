// The pictures of the streams that are looked at, over one connection; none while nobody looks.
import { ask, Refused } from "./api.js";
import { parts } from "./multipart.js";
import { html, useEffect, useRef, useState } from "./view.js";

const GATHER_MS = 150; // tiles come into view one after the other
const AGAIN_MS = 2000;

/**
 * @typedef {Object} Picture
 * @property {ImageBitmap} bitmap
 * @property {number} capturedAt Milliseconds since 1970, by the daemon's clock.
 * @property {Record<string, number>} found How many of each class.
 */

/** @typedef {(picture: Picture) => void} Shows */

export class Video {
  /**
   * @param {{width: number, fps: number, draw: boolean}} form
   */
  constructor(form) {
    this.form = form;
    /** @type {Map<string, Shows>} */
    this.shows = new Map();
    /** @type {AbortController | null} */
    this.connection = null;
    /** @type {number | undefined} */
    this.timer = undefined;
    this.onVisibility = () => this.connectSoon();
    document.addEventListener("visibilitychange", this.onVisibility);
  }

  /**
   * Until what is returned is called.
   * @param {string} stream
   * @param {Shows} show
   */
  watch(stream, show) {
    this.shows.set(stream, show);
    this.connectSoon();
    return () => {
      if (this.shows.get(stream) !== show) return;
      this.shows.delete(stream);
      this.connectSoon();
    };
  }

  close() {
    document.removeEventListener("visibilitychange", this.onVisibility);
    clearTimeout(this.timer);
    this.connection?.abort();
  }

  /** @param {number} [ms] */
  connectSoon(ms = GATHER_MS) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), ms);
  }

  async connect() {
    this.connection?.abort();
    this.connection = null;
    if (!this.shows.size || document.hidden) return;
    const connection = (this.connection = new AbortController());
    try {
      const answer = await ask("GET", this.path(), undefined, {}, connection.signal);
      if (answer.body) for await (const part of parts(answer.body)) await this.take(part);
    } catch (error) {
      if (connection.signal.aborted || (error instanceof Refused && error.status === 401)) return;
    }
    if (this.connection === connection) this.connectSoon(AGAIN_MS);
  }

  path() {
    const streams = [...this.shows.keys()].map(encodeURIComponent).join(",");
    const { width, fps, draw } = this.form;
    return `/video?streams=${streams}&width=${width}&fps=${fps}&draw=${draw ? 1 : 0}`;
  }

  /** @param {import("./multipart.js").Part} part */
  async take({ headers, body }) {
    const stream = decodeURIComponent((headers.get("content-location") ?? "").split("/")[2] ?? "");
    const show = this.shows.get(stream);
    if (!show) return;
    const blob = new Blob([/** @type {BlobPart} */ (body)], { type: "image/jpeg" });
    const bitmap = await createImageBitmap(blob);
    show({ bitmap, capturedAt: Date.parse(headers.get("x-captured-at") ?? ""), found: counts(headers.get("x-found") ?? "") });
    bitmap.close();
  }
}

/**
 * @param {string} text such as "body=1, face=2"
 * @returns {Record<string, number>}
 */
function counts(text) {
  const pairs = text.split(", ").filter(Boolean).map((pair) => pair.split("="));
  return Object.fromEntries(pairs.map(([label, count]) => [label, Number(count)]));
}

/**
 * The pictures of a stream while they are in view.
 * @param {{video: Video, stream: string, label: string, onPicture?: (picture: Picture) => void}} props
 */
export function Canvas({ video, stream, label, onPicture }) {
  const canvas = /** @type {{current: HTMLCanvasElement | null}} */ (useRef(null));
  const [has, setHas] = useState(false);
  useEffect(() => {
    const element = canvas.current;
    if (!element) return undefined;
    const context = element.getContext("2d");
    let stop = () => {};
    /** @type {Shows} */
    const show = (picture) => {
      const { bitmap } = picture;
      if (element.width !== bitmap.width) element.width = bitmap.width;
      if (element.height !== bitmap.height) element.height = bitmap.height;
      context?.drawImage(bitmap, 0, 0);
      element.dataset["capturedAt"] = String(picture.capturedAt);
      setHas(true);
      onPicture?.(picture);
    };
    const observer = new IntersectionObserver(([entry]) => {
      stop();
      stop = entry?.isIntersecting ? video.watch(stream, show) : () => {};
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      stop();
    };
  }, [video, stream]);
  return html`<canvas ref=${canvas} class=${has ? "picture" : "picture waits"} role="img" aria-label=${label} width="480" height="270" />`;
}

/**
 * One connection as long as the view is there.
 * @param {{width: number, fps: number, draw: boolean}} form
 */
export function useVideo({ width, fps, draw }) {
  const [video, setVideo] = /** @type {[Video | null, (video: Video | null) => void]} */ (
    useState(/** @type {Video | null} */ (null))
  );
  useEffect(() => {
    const opened = new Video({ width, fps, draw });
    setVideo(opened);
    return () => opened.close();
  }, [width, fps, draw]);
  return video;
}
