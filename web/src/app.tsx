import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, answer, listModels } from "./api";
import { Composer } from "./composer";
import { Conversation, deleteConversation, Message, newConversation, saveConversation, titleOf } from "./conversations";
import { MessageView } from "./message_view";
import { applyTheme, saveSettings, Settings } from "./settings";
import { SettingsPanel } from "./settings_panel";
import { Sidebar } from "./sidebar";

interface Props {
  saved: Conversation[];
  initialSettings: Settings;
}

export function App({ saved, initialSettings }: Props) {
  const [conversations, setConversations] = useState(saved);
  const [current, setCurrent] = useState<Conversation>(() => saved[0] ?? newConversation());
  const [settings, setSettings] = useState(initialSettings);
  const [models, setModels] = useState<string[]>([]);
  const [problem, setProblem] = useState("");
  const [announcement, setAnnouncement] = useState("");
  const [running, setRunning] = useState(false);
  const [showSettings, setShowSettings] = useState(false);
  const [showSidebar, setShowSidebar] = useState(false);
  const stopper = useRef<AbortController | null>(null);
  const log = useRef<HTMLDivElement>(null);
  const composer = useRef<HTMLTextAreaElement>(null);
  const menu = useRef<HTMLButtonElement>(null);
  const following = useRef(true); // scrolls along unless the reader scrolled up

  const changeSettings = useCallback((change: Partial<Settings>) => {
    setSettings((old) => {
      const next = { ...old, ...change };
      saveSettings(next);
      applyTheme(next.theme);
      return next;
    });
  }, []);

  useEffect(() => {
    listModels(settings.apiKey).then(
      (names) => {
        setModels(names);
        setProblem("");
        if (!names.includes(settings.model)) changeSettings({ model: names[0] ?? "" });
      },
      (error) => setProblem(error instanceof ApiError && error.status === 401
        ? "This server asks for an API key: enter it in the settings." : `The server does not answer: ${error.message}`),
    );
  }, [settings.apiKey]);

  useEffect(() => {
    if (following.current && log.current) log.current.scrollTop = log.current.scrollHeight;
  }, [current]);

  // Shows `next` and, when `keep` is set, writes it into the browser's store.
  const update = (next: Conversation, keep: boolean) => {
    setCurrent(next);
    if (!keep) return;
    saveConversation(next);
    setConversations((old) => [next, ...old.filter((one) => one.id !== next.id)]);
  };

  // Lets the model answer the conversation as it stands.
  const run = async (conversation: Conversation) => {
    const controller = new AbortController();
    stopper.current = controller;
    following.current = true;
    setRunning(true);
    setProblem("");
    setAnnouncement("The answer begins.");
    const reply: Message = { role: "assistant", content: "", reasoning: "" };
    const at = (keep: boolean) =>
      update({ ...conversation, changed: Date.now(), messages: [...conversation.messages, { ...reply }] }, keep);
    at(false);
    let frame = 0;
    try {
      for await (const delta of answer(conversation.messages, settings, controller.signal)) {
        reply.content += delta.content;
        reply.reasoning += delta.reasoning;
        reply.speed = delta.speed ?? reply.speed;
        reply.stopped ||= delta.cut;
        // At most one drawing per frame, however fast the tokens come.
        frame ||= requestAnimationFrame(() => {
          frame = 0;
          if (stopper.current === controller) at(false);
        });
      }
      setAnnouncement(`The answer is complete: ${reply.content}`);
    } catch (error) {
      if ((error as Error).name === "AbortError") {
        reply.stopped = true;
        setAnnouncement("The answer was stopped.");
      } else {
        setProblem((error as Error).message);
      }
    }
    cancelAnimationFrame(frame);
    if (reply.content || reply.reasoning) at(true);
    else update({ ...conversation, changed: Date.now() }, true);
    if (stopper.current === controller) {
      stopper.current = null;
      setRunning(false);
    }
    composer.current?.focus();
  };

  const send = (text: string) =>
    run({ ...current, messages: [...current.messages, { role: "user", content: text }] });

  // The message at `index` becomes `text`; what followed it is asked again.
  const edit = (index: number, text: string) =>
    run({ ...current, messages: [...current.messages.slice(0, index), { role: "user", content: text }] });

  const regenerate = () => run({ ...current, messages: current.messages.slice(0, -1) });

  const stop = () => stopper.current?.abort();

  const open = (conversation: Conversation) => {
    if (running) return;
    following.current = true;
    setCurrent(conversation);
    setProblem("");
    setShowSidebar(false);
    composer.current?.focus();
  };

  const remove = (id: string) => {
    deleteConversation(id);
    setConversations((old) => old.filter((one) => one.id !== id));
    if (current.id === id) setCurrent(newConversation());
  };

  const rename = (conversation: Conversation, title: string) => {
    const next = { ...conversation, title };
    saveConversation(next);
    setConversations((old) => old.map((one) => (one.id === next.id ? next : one)));
    if (current.id === next.id) setCurrent(next);
  };

  // The list lies over the page on a phone: the focus goes there and comes back.
  const closeSidebar = () => {
    setShowSidebar(false);
    menu.current?.focus();
  };
  useEffect(() => {
    if (showSidebar) document.querySelector<HTMLButtonElement>(".sidebar .close")?.focus();
  }, [showSidebar]);

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape" && showSidebar) closeSidebar();
      else if (event.key === "Escape" && running) stop();
      if (event.key.toLowerCase() === "o" && (event.ctrlKey || event.metaKey) && event.shiftKey) {
        event.preventDefault();
        open(newConversation());
      }
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [running, showSidebar]);

  const last = current.messages.length - 1;
  return (
    <div class={`page${showSidebar ? " with-sidebar" : ""}`}>
      <a class="skip" href="#message">Skip to the message field</a>
      <Sidebar conversations={conversations} currentId={current.id} busy={running} onOpen={open} onRename={rename}
        onRemove={remove} onNew={() => open(newConversation())} onClose={closeSidebar} />
      {showSidebar && <div class="backdrop" onClick={closeSidebar} />}
      <main class="main">
        <header class="bar">
          <button type="button" ref={menu} class="icon menu" aria-label="Conversations" aria-expanded={showSidebar}
            onClick={() => setShowSidebar(!showSidebar)}>☰</button>
          <h1>{titleOf(current)}</h1>
          <label class="picker">
            <span class="visually-hidden">Model</span>
            <select value={settings.model} disabled={running}
              onChange={(event) => changeSettings({ model: event.currentTarget.value })}>
              {models.map((name) => <option key={name} value={name}>{name}</option>)}
            </select>
          </label>
          <button type="button" class="icon" aria-expanded={showSettings} aria-controls="settings"
            onClick={() => setShowSettings(!showSettings)}>Settings</button>
        </header>
        {showSettings && <SettingsPanel settings={settings} onChange={changeSettings} />}
        <div class="log" role="region" aria-label="Conversation" tabIndex={0} ref={log}
          onScroll={(event) => {
            const box = event.currentTarget;
            following.current = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
          }}>
          {current.messages.length === 0 && (
            <p class="empty">Ask something. Everything stays on this machine: the model runs here, and conversations
              are kept in this browser.</p>
          )}
          {current.messages.map((message, index) => (
            <MessageView key={index} message={message} running={running && index === last} busy={running}
              onEdit={message.role === "user" ? (text) => edit(index, text) : undefined}
              onRegenerate={message.role === "assistant" && index === last ? regenerate : undefined} />
          ))}
        </div>
        {problem && <p class="problem" role="alert">{problem}</p>}
        <div class="visually-hidden" role="status" aria-live="polite">{announcement}</div>
        <Composer field={composer} running={running} onSend={send} onStop={stop} />
      </main>
    </div>
  );
}
