// The pictures of the streams that are looked at, over one connection; none while nobody looks.
import { ask, Refused } from "./api.js";
import { parts } from "./multipart.js";
import { html, useEffect, useRef, useState } from "./view.js";

const GATHER_MS = 150; // tiles come into view one after the other
const AGAIN_MS = 2000;
const RESIZED_MS = 500;
const DISPLAY_STEP = 40; // CSS pixels: the daemon makes a picture once for all windows of about the same width
const WIDTH_STEP = 160; // pixels

/**
 * @typedef {Object} Picture
 * @property {ImageBitmap} bitmap
 * @property {number} capturedAt Milliseconds since 1970, by the daemon's clock.
 * @property {Record<string, number>} found How many of each class.
 */

/** @typedef {{canvas: HTMLCanvasElement, show: (picture: Picture) => void}} Place Where pictures are shown. */

export class Video {
  /**
   * @param {{width: number, fps: number, draw: boolean}} form `width`: pixels, at most
   */
  constructor(form) {
    this.form = form;
    /** @type {Map<string, Place>} */
    this.places = new Map();
    /** For which width the pictures that come are made, in CSS pixels. */
    this.display = 0;
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
   * @param {Place} place
   */
  watch(stream, place) {
    this.places.set(stream, place);
    this.connectSoon();
    return () => {
      if (this.places.get(stream) !== place) return;
      this.places.delete(stream);
      this.connectSoon();
    };
  }

  close() {
    document.removeEventListener("visibilitychange", this.onVisibility);
    clearTimeout(this.timer);
    this.connection?.abort();
  }

  /** Asks anew where a place has become so much wider or narrower that other pictures are to be made. */
  resized() {
    if (this.connection && Math.abs(this.widest() - this.display) > DISPLAY_STEP) this.connectSoon(RESIZED_MS);
  }

  /** @param {number} [ms] */
  connectSoon(ms = GATHER_MS) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), ms);
  }

  async connect() {
    this.connection?.abort();
    this.connection = null;
    if (!this.places.size || document.hidden) return;
    const connection = (this.connection = new AbortController());
    this.display = this.widest();
    try {
      const answer = await ask("GET", this.path(), undefined, {}, connection.signal);
      if (answer.body) for await (const part of parts(answer.body)) await this.take(part);
    } catch (error) {
      if (connection.signal.aborted || (error instanceof Refused && error.status === 401)) return;
    }
    if (this.connection === connection) this.connectSoon(AGAIN_MS);
  }

  widest() {
    return Math.max(...[...this.places.values()].map(({ canvas }) => displayWidth(canvas)));
  }

  path() {
    const streams = [...this.places.keys()].map(encodeURIComponent).join(",");
    const display = Math.max(Math.round(this.display / DISPLAY_STEP), 1) * DISPLAY_STEP;
    const width = Math.min(Math.ceil((display * devicePixelRatio) / WIDTH_STEP) * WIDTH_STEP, this.form.width);
    return `/video?streams=${streams}&width=${width}&fps=${this.form.fps}${this.form.draw ? `&draw=1&display_width=${display}` : ""}`;
  }

  /** @param {import("./multipart.js").Part} part */
  async take({ headers, body }) {
    const stream = decodeURIComponent((headers.get("content-location") ?? "").split("/")[2] ?? "");
    const place = this.places.get(stream);
    if (!place) return;
    const blob = new Blob([/** @type {BlobPart} */ (body)], { type: "image/jpeg" });
    const bitmap = await createImageBitmap(blob);
    place.show({ bitmap, capturedAt: Date.parse(headers.get("x-captured-at") ?? ""), found: counts(headers.get("x-found") ?? "") });
    bitmap.close();
  }
}

/**
 * Of its picture, in CSS pixels: an upright one does not fill it.
 * @param {HTMLCanvasElement} canvas
 */
function displayWidth({ clientWidth, clientHeight, width, height }) {
  return Math.min(clientWidth, (clientHeight * width) / height);
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
 * @param {{video: Video, stream: string, label: string, isOld?: boolean, onPicture?: (picture: Picture) => void}} props
 *   `isOld`: no other picture comes, so that the last one is shown in grey
 */
export function Canvas({ video, stream, label, isOld = false, onPicture }) {
  const canvas = /** @type {{current: HTMLCanvasElement | null}} */ (useRef(null));
  const [has, setHas] = useState(false);
  useEffect(() => {
    const element = canvas.current;
    if (!element) return undefined;
    const context = element.getContext("2d");
    let stop = () => {};
    const show = (/** @type {Picture} */ picture) => {
      const { bitmap } = picture;
      if (element.width !== bitmap.width || element.height !== bitmap.height) {
        Object.assign(element, { width: bitmap.width, height: bitmap.height });
        video.resized();
      }
      context?.drawImage(bitmap, 0, 0);
      element.dataset["capturedAt"] = String(picture.capturedAt);
      setHas(true);
      onPicture?.(picture);
    };
    const observer = new IntersectionObserver(([entry]) => {
      stop();
      stop = entry?.isIntersecting ? video.watch(stream, { canvas: element, show }) : () => {};
    });
    const resizes = new ResizeObserver(() => video.resized());
    observer.observe(element);
    resizes.observe(element);
    return () => {
      observer.disconnect();
      resizes.disconnect();
      stop();
    };
  }, [video, stream]);
  return html`<canvas ref=${canvas} class=${has ? (isOld ? "picture old" : "picture") : "picture waits"} role="img" aria-label=${label} width="480" height="270" />`;
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
