// Requests to the daemon, with the session's cookie, which browsers send by themselves.

export const SIGNED_OUT = "visaged-signed-out";

/** An answer that says why not. */
export class Refused extends Error {
  /**
   * @param {number} status 0: no answer came
   * @param {string} message in words
   * @param {{loc: (string | number)[], msg: string}[]} [problems] mistakes with their places
   */
  constructor(status, message, problems = []) {
    super(message);
    this.status = status;
    this.problems = problems;
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
  throw refusal(response.status, await response.json().catch(() => null));
}

/**
 * What an answer's `detail` says: text, or mistakes with their places.
 * @param {number} status
 * @param {any} answer
 */
function refusal(status, answer) {
  const detail = answer?.detail;
  if (!Array.isArray(detail)) return new Refused(status, typeof detail === "string" ? detail : `Status ${status} came`);
  const lines = detail.map(({ loc, msg }) => [loc.slice(1).join("."), msg].filter(Boolean).join(": "));
  return new Refused(status, lines.join("\n"), detail);
}
