import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

interface Props { title: string; wide?: boolean; onClose: () => void; children: ComponentChildren }

/** A modal dialog on the platform's own element: focus stays inside, Escape closes, focus returns to the opener. */
export function Dialog({ title, wide, onClose, children }: Props) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const opener = document.activeElement;
    ref.current?.showModal();
    return () => {
      if (opener instanceof HTMLElement) opener.focus();
    };
  }, []);
  return (
    <dialog ref={ref} class={wide ? "drawer" : "ask"} aria-labelledby={id} onClose={onClose}
      onClick={(e) => { if (e.target === ref.current) ref.current?.close(); }}>
      <div class="dialog-body">
        <header class="dialog-head">
          <h2 id={id}>{title}</h2>
          <button type="button" class="ghost" aria-label="Close" onClick={() => ref.current?.close()}>✕</button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
