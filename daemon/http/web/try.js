// A service tried on a photo: the drawing, the answer, the time, and the lines of code that do the same.
import { ask, call, Refused } from "./api.js";
import { ANY_FACE, TWO_FACES, codeOf, DETECTOR, EXTRACTOR, IMAGE_MEMBERS, MATCHER } from "./code.js";
import { QualityBars } from "./quality.js";
import { html, useEffect, useRef, useState } from "./view.js";
import { Webcam } from "./webcam.js";

/** @typedef {{name: string, takes: "picture" | "faces" | "templates"}} Service */
/** @typedef {{services: Service[], versions: ("v1" | "v2")[], quality: Record<string, number>}} Services */
/** @typedef {{name: string, base64: string, width: number, height: number}} Photo */

/**
 * @typedef {Object} Answer
 * @property {any} document
 * @property {string[]} drawings Addresses of pictures.
 * @property {{name: string, ms: number}[]} steps What was asked, in order.
 */

const MOST_HEIGHT = 0.7; // of the window: .drawing
const FIRST = "face-detector-face-fitter";

/** @type {Record<Service["takes"], string>} */
const TAKES = {
  picture: "finds faces or bodies on a photo",
  faces: "works on the faces of a photo; they are found first",
  templates: "compares two photos; the templates are made first",
};

/** @param {{argument: string, isOpen: boolean}} props `isOpen`: no keys are configured */
export function Try({ argument, isOpen }) {
  const [services, setServices] = useState(/** @type {Services | null} */ (null));
  const [error, setError] = useState("");
  useEffect(() => {
    call("GET", "/services").then(setServices, (refused) => setError(String(refused.message)));
  }, []);
  const service = services?.services.find(({ name }) => name === (argument || FIRST));
  return html`
    <div class="headline">
      <h1 tabindex="-1">Try a service</h1>
      <p class="quiet">Photos go to this daemon alone and are not kept.</p>
    </div>
    ${error && html`<p class="notice bad" role="alert">${error}</p>`}
    ${services && service && html`<${Form} key=${service.takes === "templates"} services=${services} service=${service} isOpen=${isOpen} />`}
    ${services && !service && html`<p class="empty">There is no service ${argument}. <a href="#/try">All services</a></p>`}
  `;
}

/** @param {{services: Services, service: Service, isOpen: boolean}} props */
function Form({ services, service, isOpen }) {
  const [version, setVersion] = useState(services.versions[0] ?? "v2");
  const [photos, setPhotos] = useState(/** @type {(Photo | null)[]} */ ([null, null]));
  const [answer, setAnswer] = useState(/** @type {Answer | null} */ (null));
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const needed = service.takes === "templates" ? 2 : 1;
  const given = photos.slice(0, needed).filter((photo) => photo !== null);
  const run = /** @type {{current: number}} */ (useRef(0));
  useEffect(() => {
    setAnswer(null);
    setError("");
    const mine = (run.current = (run.current ?? 0) + 1);
    if (given.length < needed) return;
    setBusy(true);
    answered(service, version, /** @type {Photo[]} */ (given))
      .then((found) => mine === run.current && setAnswer(found))
      .catch((refused) => mine === run.current && setError(refused instanceof Refused ? refused.message : String(refused)))
      .finally(() => mine === run.current && setBusy(false));
  }, [service.name, version, ...photos]);
  useEffect(() => () => answer?.drawings.forEach((url) => URL.revokeObjectURL(url)), [answer]);
  const setPhoto = (/** @type {number} */ place, /** @type {Photo} */ photo) =>
    setPhotos((before) => before.map((one, index) => (index === place ? photo : one)));
  return html`<div class="try">
    <form class="card fields" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <label for="service">Service</label>
      <select id="service" value=${service.name} onChange=${(/** @type {{target: HTMLSelectElement}} */ event) => (location.hash = `#/try/${event.target.value}`)}>
        ${services.services.map(({ name }) => html`<option value=${name} selected=${name === service.name}>${name}</option>`)}
      </select>
      <p class="quiet">It ${TAKES[service.takes]}.</p>
      <fieldset class="choices">
        <legend>Version</legend>
        ${services.versions.map(
          (one) => html`<label><input type="radio" name="version" checked=${one === version} onChange=${() => setVersion(one)} /> ${one}</label>`,
        )}
      </fieldset>
      ${Array.from({ length: needed }, (_, place) => html`<${PhotoField} place=${place} of=${needed} photo=${photos[place]} onPhoto=${(/** @type {Photo} */ photo) => setPhoto(place, photo)} />`)}
    </form>
    <div class="result" aria-live="polite" aria-busy=${busy}>
      ${error && html`<p class="notice bad" role="alert">${error}</p>`}
      ${busy && html`<p class="empty">Asking…</p>`}
      ${answer && html`<${Result} answer=${answer} service=${service} version=${version} quality=${services.quality} />`}
      ${!answer && !busy && !error && html`<p class="empty">Choose ${needed === 1 ? "a photo" : "two photos"}, and the answer comes here.</p>`}
      <${Code} service=${service} version=${version} isOpen=${isOpen} />
    </div>
  </div>`;
}

/** @param {{place: number, of: number, photo: Photo | null | undefined, onPhoto: (photo: Photo) => void}} props */
function PhotoField({ place, of, photo, onPhoto }) {
  const [over, setOver] = useState(false);
  const [filming, setFilming] = useState(false);
  const id = `photo-${place}`;
  const take = async (/** @type {Blob | undefined} */ file, name = "") => {
    if (file) onPhoto({ name: name || /** @type {File} */ (file).name, base64: await base64Of(file), ...(await sizeOf(file)) });
  };
  const drop = (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    setOver(false);
    take(event.dataTransfer?.files[0]);
  };
  const canFilm = Boolean(navigator.mediaDevices?.getUserMedia);
  return html`<fieldset class="choices">
    <legend>${of === 1 ? "Photo" : place === 0 ? "First photo" : "Second photo"}</legend>
    <label
      class=${over ? "drop over" : "drop"}
      for=${id}
      onDragOver=${(/** @type {DragEvent} */ event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave=${() => setOver(false)}
      onDrop=${drop}
    >
      <input id=${id} type="file" accept="image/jpeg,image/png,image/bmp,image/webp" onChange=${(/** @type {{target: HTMLInputElement}} */ event) => take(event.target.files?.[0])} />
      <span>${photo ? photo.name : "Drop a photo here, or choose one"}</span>
    </label>
    <button type="button" disabled=${!canFilm} onClick=${() => setFilming(true)}>${canFilm ? "Use the webcam" : "The webcam needs HTTPS or localhost"}</button>
    ${filming &&
    html`<${Webcam}
      onPhoto=${(/** @type {Blob} */ blob) => {
        setFilming(false);
        take(blob, "from the webcam");
      }}
      onClose=${() => setFilming(false)}
    />`}
  </fieldset>`;
}

/** @param {{answer: Answer, service: Service, version: string, quality: Record<string, number>}} props */
function Result({ answer, service, version, quality }) {
  const { document, drawings, steps } = answer;
  const objects = /** @type {any[]} */ (document.objects ?? []);
  const measured = objects.map((obj) => obj.quality).filter(Boolean);
  return html`
    <section class="card" aria-label="Answer">
      <div class=${drawings.length > 1 ? "pair" : ""}>
        ${drawings.map((url, index) => html`<img class="drawing" src=${url} alt=${`The photo with what was found on it${drawings.length > 1 ? `, ${index + 1}` : ""}`} />`)}
      </div>
      ${service.takes === "templates" && html`<${Verification} verification=${document.verification} />`}
      ${service.takes !== "templates" && !objects.length && html`<p class="notice warn">Nothing was found on this photo.</p>`}
      <p class="quiet">${steps.map(({ name, ms }) => `${name} ${Math.round(ms)} ms`).join(", then ")}</p>
      ${measured.map((one, index) => html`<${QualityBars} quality=${one} thresholds=${quality} title=${measured.length > 1 ? `Face ${index + 1}` : "Quality"} />`)}
      <details>
        <summary>The answer in JSON (${version})</summary>
        <pre tabindex="0">${JSON.stringify(document, shortened, 2)}</pre>
      </details>
    </section>
  `;
}

/** @param {{verification: {score: number, distance: number, fa_r: number, fr_r: number}}} props */
function Verification({ verification }) {
  const { score, distance, fa_r } = verification;
  return html`<p class="verdict">
    <b class=${score >= 0.9 ? "good" : "bad"}>${score >= 0.9 ? "One person" : score >= 0.5 ? "Perhaps one person" : "Two persons"}</b>
    <span>score ${score.toFixed(2)}, distance ${distance}; of pairs of strangers ${(100 * fa_r).toPrecision(2)} % are as near</span>
  </p>`;
}

/** @param {{service: Service, version: "v1" | "v2", isOpen: boolean}} props */
function Code({ service, version, isOpen }) {
  const lines = codeOf(service, version, location.origin, isOpen);
  const [language, setLanguage] = useState(Object.keys(lines)[0] ?? "");
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard?.writeText(lines[language] ?? "");
    setCopied(true);
    setTimeout(() => setCopied(false), 1500);
  };
  return html`<section class="card" aria-label="The same by code">
    <div class="headline small">
      <h2>The same by code</h2>
      <span class="space" />
      ${Object.keys(lines).map((name) => html`<button type="button" class="tab" aria-pressed=${name === language} onClick=${() => setLanguage(name)}>${name}</button>`)}
      ${navigator.clipboard && html`<button type="button" onClick=${copy}>${copied ? "Copied" : "Copy"}</button>`}
    </div>
    <pre tabindex="0" data-language=${language}>${lines[language]}</pre>
  </section>`;
}

/**
 * Asks as the lines of code do: what a service needs is found first.
 * @param {Service} service
 * @param {"v1" | "v2"} version
 * @param {Photo[]} photos
 * @returns {Promise<Answer>}
 */
async function answered({ name, takes }, version, photos) {
  /** @type {Answer["steps"]} */
  const steps = [];
  const asked = async (/** @type {string} */ which, /** @type {unknown} */ document) => {
    const began = performance.now();
    const answer = await call("POST", `/${which}/${version}/process/sample`, document);
    steps.push({ name: which, ms: performance.now() - began });
    return answer;
  };
  const sent = photos.map(({ base64 }) => IMAGE_MEMBERS[version](base64));
  const first = takes === "picture" ? name : takes === "faces" ? DETECTOR : EXTRACTOR;
  /** @type {any[]} */
  const found = [];
  for (const document of sent) found.push(await asked(first, document));
  let document = found[0];
  if (takes === "faces") {
    if (!document.objects.length) throw new Refused(0, ANY_FACE);
    found[0] = document = await asked(name, document);
  }
  if (takes === "templates") {
    if (found.some(({ objects }) => !objects.length)) throw new Refused(0, TWO_FACES);
    document = await asked(MATCHER, { objects: found.map(({ objects }) => objects[0]) });
  }
  const drawings = await Promise.all(photos.map((photo, place) => drawingOf(found[place], version, displayWidth(photo, photos.length))));
  return { document, drawings, steps };
}

/**
 * @param {any} document
 * @param {string} version
 * @param {number} width in which it will be displayed, in CSS pixels
 */
async function drawingOf(document, version, width) {
  const answer = await ask("POST", `/draw/${version}?display_width=${width}`, document);
  return URL.createObjectURL(await answer.blob());
}

/**
 * Of a drawing, in CSS pixels.
 * @param {Photo} photo
 * @param {number} count of drawings beside each other
 */
function displayWidth({ width, height }, count) {
  const place = (document.querySelector(".result")?.clientWidth ?? innerWidth) / count;
  return Math.max(Math.round(Math.min(place, width, (MOST_HEIGHT * innerHeight * width) / height)), 16);
}

/**
 * In pixels; square where the browser can't read the photo, which the daemon may.
 * @param {Blob} file
 */
async function sizeOf(file) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  const { width = 1280, height = 1280 } = bitmap ?? {};
  bitmap?.close();
  return { width, height };
}

/**
 * @param {Blob} file
 * @returns {Promise<string>}
 */
async function base64Of(file) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
  return url.slice(url.indexOf(",") + 1);
}

/**
 * Base64 of pictures and templates is no reading matter.
 * @param {string} _
 * @param {unknown} value
 */
function shortened(_, value) {
  return typeof value === "string" && value.length > 120 ? `${value.slice(0, 32)}… (${value.length} characters)` : value;
}
