// Reads motion JPEG (multipart/x-mixed-replace) by fetch: many streams over one connection, each part with its headers.

const BLANK_LINE = new TextEncoder().encode("\r\n\r\n");
const CLOSING = 2; // bytes of the line break behind a part

/** @typedef {{headers: Map<string, string>, body: Uint8Array}} Part Names of headers are in lower case. */

/**
 * The parts, as they come; ends with the answer.
 * @param {ReadableStream<Uint8Array>} stream
 * @returns {AsyncGenerator<Part, void>}
 */
export async function* parts(stream) {
  const reader = stream.getReader();
  let bytes = new Uint8Array(0);
  const more = async () => {
    const { value, done } = await reader.read();
    if (value) bytes = joined(bytes, value);
    return !done;
  };
  try {
    for (;;) {
      let end = find(bytes, BLANK_LINE);
      while (end < 0) {
        if (!(await more())) return;
        end = find(bytes, BLANK_LINE);
      }
      const headers = headersOf(new TextDecoder().decode(bytes.subarray(0, end)));
      const begin = end + BLANK_LINE.length;
      const size = Number(headers.get("content-length"));
      while (bytes.length < begin + size + CLOSING) {
        if (!(await more())) return;
      }
      yield { headers, body: bytes.slice(begin, begin + size) };
      bytes = bytes.subarray(begin + size + CLOSING);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * @param {string} text with the boundary as its first line
 * @returns {Map<string, string>}
 */
function headersOf(text) {
  const lines = text.split("\r\n").filter((line) => line.includes(": "));
  return new Map(
    lines.map((line) => {
      const colon = line.indexOf(": ");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 2)];
    }),
  );
}

/**
 * Where it begins; -1: it is not there.
 * @param {Uint8Array} bytes
 * @param {Uint8Array} wanted
 */
function find(bytes, wanted) {
  for (let at = bytes.indexOf(wanted[0] ?? 0); at >= 0; at = bytes.indexOf(wanted[0] ?? 0, at + 1)) {
    if (at + wanted.length > bytes.length) return -1;
    if (wanted.every((byte, index) => bytes[at + index] === byte)) return at;
  }
  return -1;
}

/**
 * @param {Uint8Array} first
 * @param {Uint8Array} second
 */
function joined(first, second) {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}
