import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { copy } from "./clipboard";
import type { Message, Speed } from "./conversations";
import { toHtml } from "./markdown";

interface Props {
  message: Message;
  running: boolean; // this answer is being written
  busy: boolean; // some answer is
  onEdit?: (text: string) => void;
  onRegenerate?: () => void;
}

function CopyButton({ text, label }: { text: string; label: string }) {
  const [done, setDone] = useState(false);
  return (
    <button type="button" aria-label={done ? undefined : label}
      onClick={async () => {
        setDone(await copy(text));
        setTimeout(() => setDone(false), 1500);
      }}>{done ? "Copied" : "Copy"}</button>
  );
}

function SpeedLine({ speed, running }: { speed: Speed; running: boolean }) {
  const parts = [`${speed.completionTokens} tokens`, `first after ${Math.round(speed.firstTokenMs)} ms`];
  if (speed.tokensPerSecond > 0) parts.unshift(`${speed.tokensPerSecond.toFixed(speed.tokensPerSecond < 100 ? 1 : 0)} tokens/s`);
  if (!running && speed.promptTokens) {
    parts.push(`prompt ${speed.promptTokens} tokens, ${speed.cachedTokens} from the cache`);
  }
  return <span class="speed">{parts.join(" · ")}</span>;
}

function Editor({ text, onDone, onCancel }: { text: string; onDone: (text: string) => void; onCancel: () => void }) {
  const [draft, setDraft] = useState(text);
  const field = useRef<HTMLTextAreaElement>(null);
  useEffect(() => field.current!.focus(), []);
  return (
    <form class="editor" onSubmit={(event) => { event.preventDefault(); if (draft.trim()) onDone(draft.trim()); }}>
      <textarea ref={field} aria-label="Edit the message" value={draft} rows={Math.min(12, draft.split("\n").length + 1)}
        onInput={(event) => setDraft(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") onCancel();
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && draft.trim()) onDone(draft.trim());
        }} />
      <div class="actions">
        <button type="submit" class="primary">Ask again</button>
        <button type="button" onClick={onCancel}>Cancel</button>
      </div>
    </form>
  );
}

export function MessageView({ message, running, busy, onEdit, onRegenerate }: Props) {
  const [editing, setEditing] = useState(false);
  const mine = message.role === "user";
  const html = useMemo(() => (mine ? "" : toHtml(message.content)), [message.content, mine]);

  // Code blocks come as HTML; their copy buttons are handled where they bubble up to.
  const onClick = async (event: MouseEvent) => {
    const button = (event.target as HTMLElement).closest<HTMLButtonElement>("button.copy");
    if (!button) return;
    const done = await copy(button.closest("figure")!.querySelector("code")!.textContent ?? "");
    if (!done) return;
    const name = button.getAttribute("aria-label")!;
    button.removeAttribute("aria-label");
    button.textContent = "Copied";
    setTimeout(() => {
      button.textContent = "Copy";
      button.setAttribute("aria-label", name);
    }, 1500);
  };

  return (
    <article class={message.role} aria-label={mine ? "You" : "Answer"} aria-busy={running}>
      {message.reasoning && (
        <details class="reasoning" open={running && !message.content}>
          <summary>Reasoning</summary>
          <div class="plain">{message.reasoning}</div>
        </details>
      )}
      {editing
        ? <Editor text={message.content} onCancel={() => setEditing(false)}
            onDone={(text) => { setEditing(false); onEdit!(text); }} />
        : mine
          ? <div class="plain">{message.content}</div>
          : <div class="markdown" onClick={onClick} dangerouslySetInnerHTML={{ __html: html }} />}
      {running && !message.content && !message.reasoning && <p class="waiting" aria-hidden="true">…</p>}
      {!editing && (
        <footer>
          {!running && <CopyButton text={message.content} label={mine ? "Copy the message" : "Copy the answer"} />}
          {onEdit && !busy && <button type="button" onClick={() => setEditing(true)}>Edit</button>}
          {onRegenerate && !busy && <button type="button" onClick={onRegenerate}>Regenerate</button>}
          {message.stopped && !running && <span class="speed">stopped</span>}
          {message.speed && <SpeedLine speed={message.speed} running={running} />}
        </footer>
      )}
    </article>
  );
}
