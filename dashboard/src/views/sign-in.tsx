import { useState } from "preact/hooks";
import { asProblem, signIn, type Problem } from "../api";
import { ProblemNote } from "../ui/bits";
import { loginLink } from "../words/login";

/** What a reader without a session sees: how to get one. */
export function SignIn() {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<Problem>();
  const submit = async (e: Event) => {
    e.preventDefault();
    const link = loginLink(text, location.origin);
    if (link) return location.assign(link);
    try {
      await signIn(text.trim());
      location.reload();
    } catch (err) {
      const p = asProblem(err);
      // The note hides 401s, since this page is their answer; here it is the news.
      setProblem(p.status === 401 ? Object.assign(asProblem(p), { status: 403 }) : p);
    }
  };
  return (
    <main class="sign-in">
      <h1>Tidemill</h1>
      <p>This dashboard belongs to whoever started Tidemill. Open the link that <code>tidemill up</code> printed; it works once.</p>
      <p class="quiet">
        Or paste the link, or the token from <code>endpoint.json</code> in the data folder (<code>.tidemill</code>, if you named no other).
      </p>
      <form onSubmit={submit}>
        <label for="token">Link or token</label>
        <div class="row">
          <input id="token" type="password" autocomplete="off" spellcheck={false} required value={text}
            onInput={(e) => setText(e.currentTarget.value)} />
          <button type="submit" class="primary">Sign in</button>
        </div>
      </form>
      <ProblemNote problem={problem} />
    </main>
  );
}
