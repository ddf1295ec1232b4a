/** The colours that a canvas needs, read from the page's custom properties, so that both themes have one source. */
export interface Ink { line: string; fill: string; grid: string; text: string; good: string; warn: string; bad: string; ground: string }

export function inkOf(el: Element): Ink {
  const s = getComputedStyle(el);
  const v = (name: string) => s.getPropertyValue(name).trim();
  return {
    line: v("--tide"), fill: v("--tide-wash"), grid: v("--hair"), text: v("--ink-2"),
    good: v("--good"), warn: v("--warn"), bad: v("--bad"), ground: v("--surface"),
  };
}

export function outcomeInk(ink: Ink, outcome: string): string {
  return outcome === "promoted" ? ink.good : outcome === "rejected" ? ink.warn : ink.bad;
}
