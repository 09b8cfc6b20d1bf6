/** A link as a QR code: a picture of its own, black on white whatever the page's colours are. */

import encodeQR from "qr";

/** White around the code, in modules, as scanners want it. */
const MARGIN = 4;

export function qrImage(text: string, described: string): HTMLImageElement {
  const rows = encodeQR(text, "raw", { ecc: "medium", border: MARGIN });
  const path = rows.flatMap((row, y) => row.flatMap((dark, x) => (dark ? [`M${x} ${y}h1v1h-1z`] : []))).join("");
  const side = rows.length;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${side} ${side}" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h${side}v${side}H0z"/><path d="${path}"/></svg>`;
  const image = document.createElement("img");
  image.alt = described;
  image.src = `data:image/svg+xml,${encodeURIComponent(svg)}`;
  return image;
}
