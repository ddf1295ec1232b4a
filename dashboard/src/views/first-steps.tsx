/** What a reader sees before there is any model: the way to the first one. */
export function FirstSteps() {
  return (
    <section class="first-steps" aria-labelledby="first-title">
      <h1 id="first-title">No models yet</h1>
      <p>Three commands lead from a file of rows to a first model that keeps itself up to date.</p>
      <ol>
        <li><code>tidemill init FILE --time COLUMN --label EXPR</code><p>reads a file of yours and writes what it found as YAML: a dataset, a model, a policy.</p></li>
        <li><code>tidemill apply -f tidemill.yaml</code><p>declares them. They appear here at once.</p></li>
        <li><code>tidemill publish DATASET FILE</code><p>sends the rows. When there are enough, the policy asks for the first model.</p></li>
      </ol>
      <p class="quiet">Only looking around? <code>tidemill up --demo</code> replays half a year of real flights.</p>
    </section>
  );
}
