// Requests to the daemon, with the session's cookie, which browsers send by themselves.

export const SIGNED_OUT = "visaged-signed-out";

/** An answer that says why not. */
export class Refused extends Error {
  /**
   * @param {number} status 0: no answer came
   * @param {string} message in words
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * The answer's JSON; null where it has none.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body] sent as JSON
 * @param {Record<string, string>} [headers]
 * @returns {Promise<any>}
 */
export async function call(method, path, body, headers) {
  return (await ask(method, path, body, headers)).json().catch(() => null);
}

/**
 * The answer itself. Rejects with Refused.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {Record<string, string>} [headers]
 * @param {AbortSignal} [signal]
 * @returns {Promise<Response>}
 */
export async function ask(method, path, body, headers = {}, signal) {
  /** @type {RequestInit} */
  const init = { method, headers, credentials: "same-origin" };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json", ...headers };
  }
  if (signal) init.signal = signal;
  const response = await fetch(path, init).catch((error) => {
    if (signal?.aborted) throw error;
    throw new Refused(0, "The daemon does not answer. It may be starting, or away.");
  });
  if (response.ok) return response;
  if (response.status === 401) window.dispatchEvent(new Event(SIGNED_OUT));
  throw new Refused(response.status, reason(await response.json().catch(() => null), response.status));
}

/**
 * What an answer's `detail` says: text, or mistakes with their places.
 * @param {any} answer
 * @param {number} status
 */
function reason(answer, status) {
  const detail = answer?.detail;
  if (Array.isArray(detail)) return detail.map(({ loc, msg }) => `${loc.slice(1).join(".")}: ${msg}`).join("\n");
  return typeof detail === "string" ? detail : `Status ${status} came`;
}
