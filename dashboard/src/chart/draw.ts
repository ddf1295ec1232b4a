import type uPlot from "uplot";
import type { Marker } from "./markers";
import { outcomeInk, type Ink } from "./theme";

/**
 * Draws the cycles: a thin vertical line and a sign at its top. The sign's shape says the outcome too, not only its colour:
 * a filled disc for promoted, an open diamond for rejected, a cross for failed.
 */
export function drawMarkers(u: uPlot, markers: readonly Marker[], hot: number, ink: Ink): void {
  const { ctx, bbox } = u;
  const r = devicePixelRatio;
  ctx.save();
  markers.forEach((m, i) => {
    const x = u.valToPos(m.at, "x", true);
    if (x < bbox.left - 1 || x > bbox.left + bbox.width + 1) return;
    const color = outcomeInk(ink, m.outcome);
    ctx.strokeStyle = ctx.fillStyle = color;
    ctx.globalAlpha = i === hot ? 1 : 0.55;
    ctx.lineWidth = (i === hot ? 2 : 1) * r;
    ctx.setLineDash(m.outcome === "promoted" ? [] : [3 * r, 3 * r]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top + 2 * r);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.setLineDash([]);
    ctx.globalAlpha = 1;
    sign(ctx, m.outcome, x, bbox.top - 3 * r, (i === hot ? 5.5 : 4.2) * r, ink);
  });
  ctx.restore();
}

function sign(ctx: CanvasRenderingContext2D, outcome: string, x: number, y: number, size: number, ink: Ink): void {
  ctx.lineWidth = 1.6 * devicePixelRatio;
  ctx.beginPath();
  if (outcome === "promoted") {
    ctx.arc(x, y, size * 0.85, 0, 2 * Math.PI);
    ctx.fill();
  } else if (outcome === "rejected") {
    ctx.moveTo(x, y - size);
    ctx.lineTo(x + size, y);
    ctx.lineTo(x, y + size);
    ctx.lineTo(x - size, y);
    ctx.closePath();
    ctx.fillStyle = ink.ground;
    ctx.fill();
    ctx.stroke();
  } else {
    const s = size * 0.75;
    ctx.moveTo(x - s, y - s);
    ctx.lineTo(x + s, y + s);
    ctx.moveTo(x + s, y - s);
    ctx.lineTo(x - s, y + s);
    ctx.stroke();
  }
}
