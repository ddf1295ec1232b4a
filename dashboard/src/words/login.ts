/**
 * The login address inside what a person pasted, on this page's own origin; "" when the text is no login link. Only the code
 * is taken over: a pasted link never leads to another host.
 */
export function loginLink(text: string, origin: string): string {
  const t = text.trim();
  if (!/^https?:\/\/|^\/login\?/.test(t)) return "";
  let url: URL;
  try {
    url = new URL(t, origin);
  } catch {
    return "";
  }
  const code = url.searchParams.get("code");
  return code ? `/login?code=${encodeURIComponent(code)}` : "";
}
