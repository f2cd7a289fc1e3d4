// The page: who looks at it, and which view is shown, by the address behind #.
import { call, Refused, SIGNED_OUT } from "./api.js";
import { refresh, useOverview } from "./overview.js";
import { AddStream } from "./settings.js";
import { StreamPage } from "./stream.js";
import { Streams } from "./streams.js";
import { Try } from "./try.js";
import { html, render, useEffect, useState } from "./view.js";

/** @typedef {import("./types.js").Overview} Overview */

/** @typedef {{name: string, argument: string, part: string}} Place */

/** @returns {Place} */
function placeNow() {
  const [, name = "", argument = "", part = ""] = location.hash.split("/");
  return { name, argument: decodeURIComponent(argument), part };
}

function Page() {
  const { overview, error } = useOverview();
  const [place, setPlace] = useState(placeNow);
  useEffect(() => {
    const onHash = () => setPlace(placeNow());
    const onSignedOut = () => refresh();
    window.addEventListener("hashchange", onHash);
    window.addEventListener(SIGNED_OUT, onSignedOut);
    return () => {
      window.removeEventListener("hashchange", onHash);
      window.removeEventListener(SIGNED_OUT, onSignedOut);
    };
  }, []);
  useEffect(() => {
    window.scrollTo(0, 0);
    const heading = document.querySelector("h1");
    document.title = heading ? `${heading.textContent} – visaged` : "visaged";
    if (location.hash) heading?.focus({ preventScroll: true });
  }, [place.name, place.argument, place.part, Boolean(overview)]);
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <${Header} overview=${overview} place=${place} />
    <main id="main">
      ${error && error.status !== 401 && html`<p class="notice bad" role="alert">${error.message}</p>`}
      ${overview ? html`<${View} overview=${overview} place=${place} />` : error?.status === 401 ? html`<${SignIn} />` : null}
    </main>
  `;
}

/**
 * The address behind # is the view's.
 * @param {Event} event
 */
function skip(event) {
  event.preventDefault();
  document.querySelector("h1")?.focus();
}

/** @param {{overview: Overview | null, place: Place}} props */
function Header({ overview, place }) {
  const current = (/** @type {boolean} */ is) => (is ? "page" : undefined);
  const name = overview?.caller.name;
  return html`<header>
    <a class="logo" href="#/"><img src="/web/icon.svg" alt="" width="28" height="28" />visaged</a>
    ${overview &&
    html`<nav aria-label="Pages">
      <a href="#/" aria-current=${current(place.name !== "try")}>Streams</a>
      ${overview.caller.roles.includes("query") && html`<a href="#/try" aria-current=${current(place.name === "try")}>Try</a>`}
    </nav>`}
    <span class="space" />
    ${name && html`<span class="quiet">${name}</span><button type="button" onClick=${signOut}>Sign out</button>`}
  </header>`;
}

/** @param {{overview: Overview, place: Place}} props */
function View({ overview, place }) {
  if (place.name === "try") return html`<${Try} argument=${place.argument} isOpen=${overview.caller.name === null} />`;
  if (place.name === "add" && overview.can_add) return html`<${AddStream} />`;
  if (place.name !== "streams") return html`<${Streams} overview=${overview} />`;
  const stream = overview.streams.find(({ id }) => id === place.argument);
  return stream
    ? html`<${StreamPage} key=${stream.id} stream=${stream} part=${place.part} isKept=${overview.history} />`
    : html`<h1 tabindex="-1">No such stream</h1>
        <p class="empty">There is no stream ${place.argument}, or it is not for this key. <a href="#/">All streams</a></p>`;
}

function SignIn() {
  const [error, setError] = useState("");
  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    const key = String(new FormData(form).get("key")).trim();
    try {
      await call("POST", "/session", { key });
      await refresh();
    } catch (refused) {
      if (!(refused instanceof Refused)) throw refused;
      setError(refused.message);
    }
  };
  return html`<form class="card signin" onSubmit=${submit}>
    <h1 tabindex="-1">Sign in</h1>
    <p class="quiet">This daemon asks for a key. The page exchanges it for a session of 12 hours and does not keep it.</p>
    <label for="key">Key</label>
    <input id="key" name="key" type="password" autocomplete="current-password" required placeholder="vis_…" />
    ${error && html`<p class="notice bad" role="alert">${error}</p>`}
    <button class="primary" type="submit">Sign in</button>
  </form>`;
}

async function signOut() {
  await call("DELETE", "/session").catch(() => {});
  await refresh();
}

render(html`<${Page} />`, document.body);
