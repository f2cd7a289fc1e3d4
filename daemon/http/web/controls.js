// What may be done with a stream: pause, resume, restart, remove.
import { call } from "./api.js";
import { refresh } from "./overview.js";
import { html, useRef, useState } from "./view.js";

/** @typedef {import("./types.js").Stream} Stream */

/**
 * @param {{stream: Stream, onGoing: (isGoing: boolean) => void}} props `onGoing`: told that the stream is being removed,
 *   and that it stays after all: what watched it meanwhile would be told that there is none
 */
export function Controls({ stream, onGoing }) {
  const [error, setError] = useState("");
  const dialog = /** @type {{current: HTMLDialogElement | null}} */ (useRef(null));
  const path = pathOf(stream.id);
  const paused = stream.state === "paused";
  const isOwn = stream.origin === "run-time";
  const act = async (/** @type {string} */ method, /** @type {string} */ where) => {
    setError("");
    await call(method, where).then(refresh, (refused) => setError(refused.message));
  };
  const remove = async () => {
    dialog.current?.close();
    setError("");
    onGoing(true);
    try {
      await call("DELETE", path);
    } catch (refused) {
      setError(/** @type {Error} */ (refused).message);
      onGoing(false);
      return;
    }
    await refresh();
    location.hash = "#/"; // behind it: the tile of what is gone would be watched
  };
  return html`
    <div class="controls">
      ${isOwn && html`<button type="button" onClick=${() => act("POST", `${path}/${paused ? "resume" : "pause"}`)}>${paused ? "Resume" : "Pause"}</button>`}
      ${!paused && html`<button type="button" onClick=${() => act("POST", `${path}/restart`)}>Restart</button>`}
      <a class="button" href=${`#/streams/${encodeURIComponent(stream.id)}/places`}>Zones and lines</a>
      <a class="button" href=${`#/streams/${encodeURIComponent(stream.id)}/settings`}>Settings</a>
      ${isOwn && html`<button type="button" class="danger" onClick=${() => dialog.current?.showModal()}>Remove</button>`}
    </div>
    ${error && html`<p class="notice bad" role="alert">${error}</p>`}
    <dialog ref=${dialog} aria-labelledby="remove">
      <h2 id="remove">Remove ${stream.name ?? stream.id}?</h2>
      <p>It stops at once, and its settings are gone. What is under way still goes to the sinks.</p>
      <div class="buttons">
        <button type="button" class="danger" onClick=${remove}>Remove it</button>
        <button type="button" onClick=${() => dialog.current?.close()}>Keep it</button>
      </div>
    </dialog>
  `;
}

/** @param {string} stream */
export function pathOf(stream) {
  return `/streams/${encodeURIComponent(stream)}`;
}
