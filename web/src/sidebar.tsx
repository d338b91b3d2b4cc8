import { useState } from "preact/hooks";
import { Conversation, titleOf } from "./conversations";

interface Props {
  conversations: Conversation[];
  currentId: string;
  busy: boolean;
  onOpen: (conversation: Conversation) => void;
  onRename: (conversation: Conversation, title: string) => void;
  onRemove: (id: string) => void;
  onNew: () => void;
  onClose: () => void;
}

export function Sidebar({ conversations, currentId, busy, onOpen, onRename, onRemove, onNew, onClose }: Props) {
  const [wanted, setWanted] = useState("");
  const [renaming, setRenaming] = useState("");
  const lower = wanted.toLowerCase();
  const shown = conversations.filter((one) => titleOf(one).toLowerCase().includes(lower) ||
    one.messages.some((message) => message.content.toLowerCase().includes(lower)));

  return (
    <nav class="sidebar" aria-label="Conversations">
      <div class="brand">
        <span>Callie</span>
        <button type="button" class="icon close" aria-label="Close the list" onClick={onClose}>✕</button>
      </div>
      <button type="button" class="primary" disabled={busy} onClick={onNew} title="Ctrl+Shift+O">New conversation</button>
      <input type="search" aria-label="Search conversations" placeholder="Search" value={wanted}
        onInput={(event) => setWanted(event.currentTarget.value)} />
      <ul>
        {shown.map((one) => (
          <li key={one.id} class={one.id === currentId ? "current" : ""}>
            {renaming === one.id
              ? <input aria-label="New title" value={titleOf(one)} ref={(field) => field?.focus()}
                  onBlur={() => setRenaming("")}
                  onKeyDown={(event) => {
                    if (event.key === "Escape") {
                      event.stopPropagation();
                      setRenaming("");
                    }
                    if (event.key !== "Enter") return;
                    onRename(one, event.currentTarget.value.trim());
                    setRenaming("");
                  }} />
              : <button type="button" class="title" disabled={busy} aria-current={one.id === currentId ? "page" : undefined}
                  onClick={() => onOpen(one)}>{titleOf(one)}</button>}
            <button type="button" class="icon" aria-label={`Rename ${titleOf(one)}`} disabled={busy}
              onClick={() => setRenaming(one.id)}>✎</button>
            <button type="button" class="icon" aria-label={`Delete ${titleOf(one)}`} disabled={busy}
              onClick={() => confirm(`Delete "${titleOf(one)}"?`) && onRemove(one.id)}>✕</button>
          </li>
        ))}
      </ul>
    </nav>
  );
}
