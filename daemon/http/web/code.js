// The lines of code that ask a service as the page does.

export const DETECTOR = "face-detector-face-fitter";
export const EXTRACTOR = "face-detector-template-extractor";
export const MATCHER = "verify-matcher";
export const ANY_FACE = "No face was found on the photo: this service works on faces.";
export const TWO_FACES = "Two photos with a face each are needed: on one of them none was found.";

/** @type {Record<"v1" | "v2", (base64: string) => Record<string, unknown>>} */
export const IMAGE_MEMBERS = {
  v1: (base64) => ({ $image: base64 }),
  v2: (base64) => ({ _image: { blob: base64, format: "IMAGE" } }),
};

/**
 * By language.
 * @param {{name: string, takes: "picture" | "faces" | "templates"}} service
 * @param {"v1" | "v2"} version
 * @param {string} origin
 * @param {boolean} isOpen no key is needed
 * @returns {Record<string, string>}
 */
export function codeOf({ name, takes }, version, origin, isOpen) {
  const image = version === "v2" ? '{"_image": {"blob": photo}}' : '{"$image": photo}';
  const steps = takes === "faces" ? [DETECTOR, name] : [takes === "templates" ? EXTRACTOR : name];
  return {
    curl: takes === "templates" ? curlPair(version, origin, isOpen) : curl(steps, version, origin, isOpen),
    Python: python(steps, takes === "templates", image, version, origin, isOpen),
    JavaScript: javascript(steps, takes === "templates", image.replaceAll('"', ""), version, origin, isOpen),
  };
}

/**
 * @param {string[]} steps
 * @param {string} version
 * @param {string} origin
 * @param {boolean} isOpen
 */
function curl([first = "", ...others], version, origin, isOpen) {
  const key = isOpen ? "" : ' -H "Authorization: Bearer $KEY"';
  const asked = others.map((name) => `curl -s${key} -H 'Content-Type: application/json' -d @- ${origin}/${name}/${version}/process/sample`);
  return [fileOf(first, "photo.jpg", version, origin, key), ...asked].join(" |\n  ");
}

/**
 * @param {string} version
 * @param {string} origin
 * @param {boolean} isOpen
 */
function curlPair(version, origin, isOpen) {
  const key = isOpen ? "" : ' -H "Authorization: Bearer $KEY"';
  const found = ["first", "second"].map((photo) => `${fileOf(EXTRACTOR, `${photo}.jpg`, version, origin, key)} > ${photo}.json`);
  const pair = `jq -s '{objects: [.[].objects[0]]}' first.json second.json |`;
  return [...found, pair, `  curl -s${key} -H 'Content-Type: application/json' -d @- ${origin}/${MATCHER}/${version}/process/sample`].join("\n");
}

/**
 * @param {string} name
 * @param {string} photo
 * @param {string} version
 * @param {string} origin
 * @param {string} key
 */
function fileOf(name, photo, version, origin, key) {
  return `curl -s${key} -F image=@${photo} ${origin}/${name}/${version}/process/image`;
}

/**
 * @param {string[]} steps
 * @param {boolean} isPair
 * @param {string} image
 * @param {string} version
 * @param {string} origin
 * @param {boolean} isOpen
 */
function python(steps, isPair, image, version, origin, isOpen) {
  const key = isOpen ? "" : ', "Authorization": f"Bearer {KEY}"';
  const last = isPair
    ? [
        'objects = [found(photo)["objects"][0] for photo in ("first.jpg", "second.jpg")]',
        `print(ask("${MATCHER}", {"objects": objects})["verification"])`,
      ]
    : ['print(found("photo.jpg")["objects"])'];
  return [
    "import base64, json, pathlib, urllib.request",
    ...(isOpen ? [] : ["", 'KEY = "vis_..."']),
    "",
    "",
    "def ask(service, document):",
    `    url = f"${origin}/{service}/${version}/process/sample"`,
    `    headers = {"Content-Type": "application/json"${key}}`,
    "    request = urllib.request.Request(url, json.dumps(document).encode(), headers)",
    "    with urllib.request.urlopen(request) as answer:",
    "        return json.load(answer)",
    "",
    "",
    "def found(path):",
    "    photo = base64.b64encode(pathlib.Path(path).read_bytes()).decode()",
    `    document = ${image}`,
    ...steps.map((name) => `    document = ask("${name}", document)`),
    "    return document",
    "",
    "",
    ...last,
  ].join("\n");
}

/**
 * @param {string[]} steps
 * @param {boolean} isPair
 * @param {string} image
 * @param {string} version
 * @param {string} origin
 * @param {boolean} isOpen
 */
function javascript(steps, isPair, image, version, origin, isOpen) {
  const key = isOpen ? "" : ", Authorization: `Bearer ${KEY}`";
  const last = isPair
    ? [
        'const objects = [(await found("first.jpg")).objects[0], (await found("second.jpg")).objects[0]];',
        `console.log((await ask("${MATCHER}", { objects })).verification);`,
      ]
    : ['console.log((await found("photo.jpg")).objects);'];
  return [
    'import { readFile } from "node:fs/promises";',
    ...(isOpen ? [] : ["", 'const KEY = "vis_...";']),
    "",
    "async function ask(service, document) {",
    `  const answer = await fetch(\`${origin}/\${service}/${version}/process/sample\`, {`,
    '    method: "POST",',
    `    headers: { "Content-Type": "application/json"${key} },`,
    "    body: JSON.stringify(document),",
    "  });",
    "  return answer.json();",
    "}",
    "",
    "async function found(path) {",
    '  const photo = (await readFile(path)).toString("base64");',
    `  let document = ${image};`,
    ...steps.map((name) => `  document = await ask("${name}", document);`),
    "  return document;",
    "}",
    "",
    ...last,
  ].join("\n");
}
