// The shapes of what the daemon answers; docs/subscribers.md, docs/operations.md and docs/control.md say what they mean.

/**
 * @typedef {Object} Rates A second, over a window.
 * @property {number} received
 * @property {number} acknowledged
 * @property {Record<string, number>} skipped
 * @property {Record<string, number>} dropped
 * @property {Record<string, number>} failed
 */

/**
 * @typedef {Object} Row A stream's row of /status.
 * @property {number} restarts
 * @property {number | null} next_attempt
 * @property {{received: number, acknowledged: number, pending: number, skipped: Record<string, number>,
 *   dropped: Record<string, number>, failed: Record<string, number>}} frames
 * @property {{last_10_s: Rates | null, last_60_s: Rates | null}} rates
 * @property {{p50: number, p95: number} | null} latency Seconds.
 * @property {string | null} last_frame
 * @property {{codec: string | null, width: number | null, height: number | null, fps: number | null}} video
 * @property {Record<string, {calls: number, share: number | null}>} processors
 */

/**
 * @typedef {Object} Stream
 * @property {string} id
 * @property {string | null} name
 * @property {"file" | "run-time"} origin
 * @property {string} state
 * @property {number | null} width
 * @property {number | null} height
 * @property {string[]} roles Of `watch` and `control`, those that the caller has for it.
 * @property {boolean} tracks Whether it has `tracking`.
 * @property {boolean} events Whether it has `tracking.events`.
 * @property {string | null} error
 * @property {Row | null} status null: the caller may not see it.
 */

/**
 * @typedef {Object} Overview
 * @property {string} version
 * @property {string} now
 * @property {{name: string | null, roles: string[]}} caller name null: no keys are configured.
 * @property {boolean} can_add
 * @property {boolean} history Whether events are kept.
 * @property {Stream[]} streams
 */

/** @typedef {{confidence: number, value: string | boolean}} Verdict */

/**
 * @typedef {Object} Found An object of a document.
 * @property {number} [id]
 * @property {string} class
 * @property {[number, number, number, number]} [bbox]
 * @property {number} [confidence]
 * @property {string} [track_id]
 * @property {string} [body_id]
 * @property {string} [age]
 * @property {string} [gender]
 * @property {{emotion: string, confidence: number}[]} [emotions]
 * @property {Verdict} [liveness]
 * @property {Verdict} [has_medical_mask]
 * @property {Verdict} [mask]
 * @property {{yaw: number, pitch: number, roll: number} | undefined} [pose]
 * @property {Record<string, any>} [quality]
 * @property {string[]} [zones]
 * @property {boolean} [predicted]
 * @property {{blob: string}} [_image]
 * @property {string} [image_url]
 */

/**
 * @typedef {Object} FrameDocument
 * @property {Found[]} objects
 * @property {{id: string, run: string, frame: number, captured_at: string, width: number, height: number}} stream
 * @property {Places} [places]
 */

/** @typedef {Record<string, number>} Counts By class. */

/**
 * @typedef {Object} Places
 * @property {Record<string, {now: Counts, entered?: Counts}>} zones
 * @property {Record<string, Record<string, Counts>>} lines By direction.
 */

/**
 * @typedef {Object} TrackEvent Of a track, or of a track and a zone or a line.
 * @property {{name: string, dwell?: number}} [zone]
 * @property {{name: string, direction: string}} [line]
 * @property {string} event
 * @property {string} [reason]
 * @property {{id: string, first_seen: string, last_seen: string, frames: number}} track
 * @property {Found} object
 * @property {{id: string, captured_at: string}} stream
 */

export {};
