import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";

const kNarrow = matchMedia("(max-width: 720px)"); // as in the style sheet

interface Props {
  field: RefObject<HTMLTextAreaElement>;
  running: boolean;
  onSend: (text: string) => void;
  onStop: () => void;
}

export function Composer({ field, running, onSend, onStop }: Props) {
  const [text, setText] = useState("");
  const [narrow, setNarrow] = useState(kNarrow.matches);

  useEffect(() => {
    const onChange = () => setNarrow(kNarrow.matches);
    kNarrow.addEventListener("change", onChange);
    return () => kNarrow.removeEventListener("change", onChange);
  }, []);

  useEffect(() => field.current?.focus(), []);
  useEffect(() => {
    // The field grows with its text, up to what the style sheet allows.
    const area = field.current!;
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight}px`;
  }, [text]);

  const send = () => {
    if (running || !text.trim()) return;
    onSend(text.trim());
    setText("");
  };

  return (
    <form class="composer" onSubmit={(event) => { event.preventDefault(); send(); }}>
      <textarea id="message" rows={1} ref={field} value={text} aria-label="Message"
        placeholder={narrow ? "Message" : "Message (Enter sends, Shift+Enter breaks the line)"}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          send();
        }} />
      {running
        ? <button type="button" class="primary" onClick={onStop}>Stop</button>
        : <button type="submit" class="primary" disabled={!text.trim()}>Send</button>}
    </form>
  );
}
