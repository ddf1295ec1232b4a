import type { Entry } from "../types";
import { shortType } from "../words/sentence";

/** How many facts the page keeps. */
export const kept = 500;

/** Adds entries to a list that is newest first; a sequence that is already there changes nothing. */
export function addFacts(list: readonly Entry[], more: readonly Entry[], limit = kept): Entry[] {
  const have = new Set(list.map((e) => e.seq));
  const fresh: Entry[] = [];
  for (const e of more) {
    if (have.has(e.seq)) continue;
    have.add(e.seq);
    fresh.push(e);
  }
  if (fresh.length === 0) return list as Entry[];
  return [...list, ...fresh].sort((a, b) => b.seq - a.seq).slice(0, limit);
}

export interface FactFilter { type: string; name: string }

/** The facts that a filter lets through. type is a noun ("segment") or a whole short type; name is a subject; "" is all. */
export function filterFacts(list: readonly Entry[], f: FactFilter): Entry[] {
  return list.filter(({ fact }) => {
    const short = shortType(fact.type);
    if (f.type && short !== f.type && !short.startsWith(`${f.type}.`)) return false;
    return !f.name || fact.subject === f.name || modelOf(fact.data) === f.name;
  });
}

function modelOf(data: unknown): string {
  const m = typeof data === "object" && data !== null ? (data as { model?: unknown }).model : undefined;
  return typeof m === "string" ? m : "";
}

/** The nouns and subjects that occur, sorted: what the filters offer. */
export function choices(list: readonly Entry[]): { types: string[]; names: string[] } {
  const types = new Set<string>();
  const names = new Set<string>();
  for (const { fact } of list) {
    types.add(shortType(fact.type).split(".")[0]!);
    names.add(fact.subject);
  }
  return { types: [...types].sort(), names: [...names].sort() };
}
