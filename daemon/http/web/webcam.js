// A photo by the webcam.
import { html, useEffect, useRef, useState } from "./view.js";

/** @param {{onPhoto: (photo: Blob) => void, onClose: () => void}} props */
export function Webcam({ onPhoto, onClose }) {
  const dialog = /** @type {{current: HTMLDialogElement | null}} */ (useRef(null));
  const video = /** @type {{current: HTMLVideoElement | null}} */ (useRef(null));
  const [error, setError] = useState("");
  useEffect(() => {
    /** @type {MediaStream | null} */
    let stream = null;
    let left = false;
    const stop = () => stream?.getTracks().forEach((track) => track.stop());
    dialog.current?.showModal();
    navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } } }).then(
      (opened) => {
        stream = opened;
        if (left) return stop();
        if (video.current) video.current.srcObject = stream;
        return undefined;
      },
      (refused) => setError(`The webcam can't be used: ${refused.message}`),
    );
    return () => {
      left = true;
      stop();
    };
  }, []);
  const take = () => {
    const element = video.current;
    if (!element?.videoWidth) return;
    const canvas = document.createElement("canvas");
    canvas.width = element.videoWidth;
    canvas.height = element.videoHeight;
    canvas.getContext("2d")?.drawImage(element, 0, 0);
    canvas.toBlob((photo) => photo && onPhoto(photo), "image/jpeg", 0.92);
  };
  return html`<dialog ref=${dialog} aria-label="Webcam" onClose=${onClose}>
    ${error ? html`<p class="notice bad" role="alert">${error}</p>` : html`<video ref=${video} autoplay playsinline muted />`}
    <div class="buttons">
      ${!error && html`<button type="button" class="primary" onClick=${take}>Take the photo</button>`}
      <button type="button" onClick=${() => dialog.current?.close()}>Close</button>
    </div>
  </dialog>`;
}
