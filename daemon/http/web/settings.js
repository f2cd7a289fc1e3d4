// A stream added, or its settings changed: the ones most need as fields, and all of them as JSON.
import { ask, call, Refused } from "./api.js";
import { pathOf } from "./controls.js";
import { refresh } from "./overview.js";
import { html, useEffect, useState } from "./view.js";

/** @typedef {Record<string, any>} Settings */
/** @typedef {{settings: Settings, origin: string, etag: string}} Entry */

/** @typedef {{name: string, needs: string[]}} Processor `needs`: of the others, before it */

const DEFAULT_CHAIN = ["face-detector", "face-fitter"];

export function AddStream() {
  return html`
    <div class="headline"><a href="#/" class="back">Streams</a><h1 tabindex="-1">Add a stream</h1></div>
    <${Form} entry=${{ settings: { source: "" }, origin: "run-time", etag: "" }} id="" />
  `;
}

/** @param {{stream: import("./types.js").Stream}} props */
export function StreamSettings({ stream }) {
  const { entry, error } = useEntry(stream.id);
  return html`
    ${error && html`<p class="notice bad" role="alert">${error}</p>`}
    ${entry && html`<${Form} key=${entry.etag} entry=${entry} id=${stream.id} />`}
  `;
}

/**
 * A stream's settings and their revision.
 * @param {string} stream
 * @returns {{entry: Entry | null, error: string, again: () => Promise<void>}}
 */
export function useEntry(stream) {
  const [entry, setEntry] = useState(/** @type {Entry | null} */ (null));
  const [error, setError] = useState("");
  const again = async () => {
    try {
      const answer = await ask("GET", pathOf(stream));
      const { settings, origin } = await answer.json();
      setEntry({ settings, origin, etag: answer.headers.get("ETag") ?? "" });
    } catch (refused) {
      setError(refused instanceof Refused ? refused.message : String(refused));
    }
  };
  useEffect(() => {
    again();
  }, [stream]);
  return { entry, error, again };
}

/** @param {{entry: Entry, id: string}} props `id` empty: a new one */
function Form({ entry, id }) {
  const [processors, setProcessors] = useState(/** @type {Processor[] | null} */ (null));
  const [error, setError] = useState("");
  useEffect(() => {
    call("GET", "/processors").then(
      (answer) => setProcessors(answer.processors),
      (refused) => setError(refused.message),
    );
  }, []);
  if (error) return html`<p class="notice bad" role="alert">${error}</p>`;
  return processors && html`<${Fields} entry=${entry} id=${id} processors=${processors} />`;
}

/** @param {{entry: Entry, id: string, processors: Processor[]}} props */
function Fields({ entry, id, processors }) {
  const isOfFile = entry.origin === "file";
  const [settings, setSettings] = useState(entry.settings);
  const [json, setJson] = useState(/** @type {string | null} */ (null));
  const [name, setName] = useState(id);
  const [refused, setRefused] = useState(/** @type {Refused | null} */ (null));
  const [checked, setChecked] = useState(/** @type {any} */ (null));
  const [said, setSaid] = useState("");
  const set = (/** @type {string} */ key, /** @type {unknown} */ value) => {
    const { [key]: _, ...others } = settings;
    setSettings(value === "" || value === null ? others : { ...others, [key]: value });
    setJson(null);
  };
  const problem = (/** @type {string} */ key) => refused?.problems.find(({ loc }) => loc.includes(key))?.msg;
  const withErrors = async (/** @type {() => Promise<void>} */ action) => {
    setRefused(null);
    setChecked(null);
    setSaid("");
    await action().catch((error) => {
      if (!(error instanceof Refused)) throw error;
      setRefused(error);
    });
  };
  const check = () =>
    withErrors(async () => {
      setChecked("asking");
      setChecked(await call("POST", "/check", settings).catch((error) => (setChecked(null), Promise.reject(error))));
    });
  const save = (/** @type {Event} */ event) => {
    event.preventDefault();
    return withErrors(async () => {
      const condition = id ? { "If-Match": entry.etag } : { "If-None-Match": "*" };
      await call("PUT", pathOf(name), settings, /** @type {Record<string, string>} */ (condition));
      await refresh();
      setSaid("Saved.");
      location.hash = `#/streams/${encodeURIComponent(name)}`;
    });
  };
  const tracking = settings["tracking"];
  const field = { settings, set, problem, disabled: isOfFile };
  return html`<form class="card fields settings" onSubmit=${save}>
    ${isOfFile && html`<p class="notice">This stream is in the configuration file: change it there, then send SIGHUP.</p>`}
    ${!id &&
    html`<${Field} label="Id" hint="Letters, digits, . _ and -. It stands in documents and addresses, and stays.">
      <input id="id" value=${name} required title="Letters, digits, . _ -; no spaces" pattern="[A-Za-z0-9_][A-Za-z0-9._\\-]{0,63}" onInput=${(/** @type {{target: HTMLInputElement}} */ event) => setName(event.target.value)} />
    <//>`}
    <${Text} ...${field} name="source" label="Address" hint="rtsp://, rtsps://, http:// or https://" required />
    <div class="row">
      <${Text} ...${field} name="username" label="Username" />
      <${Text} ...${field} name="password" label="Password" type="password" hint=${settings["password"] === "***" ? "It is kept unless you write another." : ""} />
    </div>
    <div class="row">
      <${Text} ...${field} name="name" label="Name" hint="What people call it." />
      <${Text} ...${field} name="fps" label="Frames a second" type="number" hint="Empty: all that come." />
    </div>
    <fieldset disabled=${isOfFile}>
      <legend>What is found</legend>
      <div class="choices">
        ${processors.map(
          ({ name: processor }) => html`<label
            ><input
              type="checkbox"
              checked=${chainOf(settings).includes(processor)}
              onChange=${() => set("chain", toggled(chainOf(settings), processor, processors))}
            />
            ${processor}</label
          >`,
        )}
      </div>
      ${problem("chain") && html`<p class="lost" role="alert">${problem("chain")}</p>`}
    </fieldset>
    <label class="switch"
      ><input type="checkbox" disabled=${isOfFile} checked=${Boolean(tracking)} onChange=${() => set("tracking", tracking ? null : { events: {} })} /> Follow faces and bodies from frame
      to frame</label
    >
    <label class="switch"
      ><input type="checkbox" disabled=${isOfFile || !tracking} checked=${Boolean(tracking?.events)} onChange=${() => set("tracking", { ...tracking, events: tracking.events ? null : {} })} /> Tell
      when they come and go (events)</label
    >
    <details>
      <summary>All settings as JSON</summary>
      <textarea
        aria-label="All settings as JSON"
        rows="14"
        spellcheck=${false}
        readonly=${isOfFile}
        value=${json ?? JSON.stringify(settings, null, 2)}
        onInput=${(/** @type {{target: HTMLTextAreaElement}} */ event) => {
          setJson(event.target.value);
          const read = parsed(event.target.value);
          event.target.setCustomValidity(read ? "" : "Expected a JSON object");
          if (read) setSettings(read);
        }}
      />
    </details>
    ${refused && html`<p class="notice bad" role="alert">${refused.message}</p>`}
    ${checked === "asking" && html`<p class="empty" role="status">Connecting…</p>`}
    ${checked && checked !== "asking" && html`<${Checked} checked=${checked} />`}
    ${said && html`<p class="notice good" role="status">${said}</p>`}
    ${!isOfFile &&
    html`<div class="buttons">
      <button class="primary" type="submit">${id ? "Save" : "Add"}</button>
      <button type="button" onClick=${check} disabled=${checked === "asking"}>Check the address</button>
      <a class="button" href=${id ? `#/streams/${encodeURIComponent(id)}` : "#/"}>Cancel</a>
    </div>`}
  </form>`;
}

/** @param {{checked: any}} props */
function Checked({ checked }) {
  if (!checked.ok) return html`<p class="notice bad" role="alert">${checked.reason}</p>`;
  const { codec, width, height, fps, keyframe_interval } = checked;
  const words = [`${codec} ${width} × ${height}`];
  if (fps) words.push(`${fps} frames a second`);
  if (keyframe_interval) words.push(`a keyframe every ${keyframe_interval} s`);
  return html`<p class="notice good" role="status">It answers: ${words.join(", ")}.</p>`;
}

/** @param {{label: string, hint?: string, problem?: string | undefined, children?: any, for?: string}} props */
function Field({ label, hint, problem, children, for: id = "id" }) {
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${children} ${problem ? html`<p class="lost" role="alert">${problem}</p>` : hint && html`<p class="quiet">${hint}</p>`}
  </div>`;
}

/**
 * @param {{name: string, label: string, hint?: string, type?: string, required?: boolean, disabled: boolean, settings: Settings,
 *   set: (key: string, value: unknown) => void, problem: (key: string) => string | undefined}} props
 */
function Text({ name, label, hint = "", type = "text", required = false, disabled, settings, set, problem }) {
  const wrong = problem(name);
  return html`<${Field} label=${label} hint=${hint} problem=${wrong} for=${name}>
    <input
      id=${name}
      type=${type}
      step="any"
      required=${required}
      disabled=${disabled}
      autocomplete="off"
      aria-invalid=${wrong ? "true" : undefined}
      value=${settings[name] ?? ""}
      onInput=${(/** @type {{target: HTMLInputElement}} */ event) => set(name, type === "number" && event.target.value ? Number(event.target.value) : event.target.value)}
    />
  <//>`;
}

/** @param {Settings} settings */
function chainOf(settings) {
  return /** @type {string[]} */ (settings["chain"] ?? DEFAULT_CHAIN);
}

/**
 * With what it needs before it, or without it and all that need it.
 * @param {string[]} chain
 * @param {string} processor
 * @param {Processor[]} processors
 */
function toggled(chain, processor, processors) {
  const needs = new Map(processors.map((one) => [one.name, one.needs]));
  /** @type {(one: string) => boolean} */
  const needsIt = (one) => one === processor || (needs.get(one) ?? []).some(needsIt);
  if (chain.includes(processor)) return chain.filter((one) => !needsIt(one));
  /** @type {(one: string) => string[]} */
  const withNeeded = (one) => [...(needs.get(one) ?? []).flatMap(withNeeded), one];
  return [...new Set([...chain, ...withNeeded(processor)])];
}

/**
 * @param {string} text
 * @returns {Settings | null}
 */
function parsed(text) {
  try {
    const value = JSON.parse(text);
    return value && typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
