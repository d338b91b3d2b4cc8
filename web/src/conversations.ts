// Conversations live in the browser (IndexedDB) and nowhere else.
import { createStore, del, entries, set } from "idb-keyval";

export interface Speed {
  completionTokens: number;
  tokensPerSecond: number;
  promptTokens: number;
  cachedTokens: number;
  firstTokenMs: number;
}

export interface Message {
  role: "user" | "assistant";
  content: string;
  reasoning?: string;
  speed?: Speed;
  stopped?: boolean;
}

export interface Conversation {
  id: string;
  title: string;
  changed: number; // milliseconds since 1970
  messages: Message[];
}

const store = createStore("callie", "conversations");

// Newest first. A browser without storage (private windows of some) starts empty and keeps nothing.
export async function loadConversations(): Promise<Conversation[]> {
  try {
    const all = (await entries<string, Conversation>(store)).map(([, conversation]) => conversation);
    return all.sort((a, b) => b.changed - a.changed);
  } catch {
    return [];
  }
}

export function saveConversation(conversation: Conversation): void {
  void set(conversation.id, conversation, store).catch(() => {});
}

export function deleteConversation(id: string): void {
  void del(id, store).catch(() => {});
}

export function newConversation(): Conversation {
  return { id: randomId(), title: "", changed: Date.now(), messages: [] };
}

export function titleOf(conversation: Conversation): string {
  if (conversation.title) return conversation.title;
  const first = conversation.messages.find((message) => message.role === "user")?.content.trim();
  return first ? first.split("\n")[0].slice(0, 60) : "New conversation";
}

// crypto.randomUUID exists only on secure origins; the page is often opened over plain HTTP.
function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
