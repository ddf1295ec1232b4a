import { useEffect, useState } from "preact/hooks";

/** The one thing that the address remembers: the selected model. "#/models/flight-delay" → "flight-delay". */
export function modelInHash(hash: string): string {
  const m = /^#\/models\/([a-z0-9-]{1,63})$/.exec(hash);
  return m?.[1] ?? "";
}

export function hashOf(model: string): string {
  return `#/models/${model}`;
}

export function useSelectedModel(): string {
  const [model, set] = useState(() => modelInHash(location.hash));
  useEffect(() => {
    const changed = () => set(modelInHash(location.hash));
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return model;
}
