"use strict";
// The chat page: one conversation kept in the browser, answers streamed from /v1/chat/completions.
const $ = (id) => document.getElementById(id);
const SETTINGS = ["system", "temperature", "top_p", "max_tokens", "key"];
let messages = JSON.parse(localStorage.getItem("callie.messages") || "[]");
let controller = null;

const save = () => localStorage.setItem("callie.messages", JSON.stringify(messages));
const element = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};
const headers = () => {
  const key = $("key").value;
  return { "Content-Type": "application/json", ...(key ? { Authorization: "Bearer " + key } : {}) };
};

const WORDS = /^(?:if|else|for|while|return|def|class|import|from|const|let|var|function|int|float|double|void|auto|struct|new|true|false|None|True|False|null|in|and|or|not|public|private|static|using|namespace|template|async|await|try|except|catch|throw|raise|with|as|lambda|yield|switch|case|break|continue|fn|pub|impl|match|use|mut)$/;
const TOKEN = /(\/\/[^\n]*|#[^\n]*|\/\*[\s\S]*?\*\/)|("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|(\b\d[\w.]*)|([A-Za-z_]\w*)/g;
function highlight(code) {
  const out = element("code");
  let at = 0;
  for (const match of code.matchAll(TOKEN)) {
    const kind = match[1] ? "comment" : match[2] ? "string" : match[3] ? "number" : WORDS.test(match[4]) ? "keyword" : "";
    if (!kind) continue;
    out.append(code.slice(at, match.index), element("span", { className: kind, textContent: match[0] }));
    at = match.index + match[0].length;
  }
  out.append(code.slice(at));
  return out;
}

// Markdown's everyday part: fenced code, headings, lists, bold, italics, inline code. Text only: never HTML.
function inline(text) {
  const out = document.createDocumentFragment();
  let at = 0;
  for (const match of text.matchAll(/`([^`\n]+)`|\*\*([^*\n]+)\*\*|\*([^*\n]+)\*/g)) {
    out.append(text.slice(at, match.index));
    const tag = match[1] ? "code" : match[2] ? "strong" : "em";
    out.append(element(tag, { textContent: match[1] || match[2] || match[3] }));
    at = match.index + match[0].length;
  }
  out.append(text.slice(at));
  return out;
}
function markdown(text) {
  const out = document.createDocumentFragment();
  text.split(/^```/m).forEach((part, i) => {
    if (i % 2) {
      const code = part.replace(/^[^\n]*\n?/, "");
      const copy = element("button", { type: "button", textContent: "Copy" });
      copy.onclick = () => navigator.clipboard.writeText(code).then(() => { copy.textContent = "Copied"; });
      out.append(element("pre", {}, copy, highlight(code)));
      return;
    }
    for (const block of part.split(/\n{2,}/)) {
      if (!block.trim()) continue;
      const lines = block.trim().split("\n");
      const heading = lines[0].match(/^(#{1,6})\s+(.*)/);
      if (heading && lines.length === 1) out.append(element("h" + Math.min(6, heading[1].length + 1), {}, inline(heading[2])));
      else if (lines.every((l) => /^\s*[-*]\s/.test(l))) out.append(element("ul", {}, ...lines.map((l) => element("li", {}, inline(l.replace(/^\s*[-*]\s+/, ""))))));
      else if (lines.every((l) => /^\s*\d+\.\s/.test(l))) out.append(element("ol", {}, ...lines.map((l) => element("li", {}, inline(l.replace(/^\s*\d+\.\s+/, ""))))));
      else out.append(element("p", { className: "text" }, inline(block.trim())));
    }
  });
  return out;
}

function show() {
  $("log").replaceChildren(...messages.map((message, i) => {
    const body = element("div");
    if (message.role === "assistant") body.append(markdown(message.content));
    else body.append(element("div", { className: "text", textContent: message.content }));
    const footer = element("footer");
    if (message.role === "user") {
      const edit = element("button", { type: "button", textContent: "Edit" });
      edit.onclick = () => { $("input").value = message.content; messages = messages.slice(0, i); save(); show(); $("input").focus(); };
      footer.append(edit);
    } else if (i === messages.length - 1) {
      const again = element("button", { type: "button", textContent: "Regenerate" });
      again.onclick = () => { messages.pop(); answer(); };
      footer.append(again);
    }
    return element("article", { className: message.role, ariaLabel: message.role === "user" ? "You" : "Callie" }, body, footer);
  }));
  $("log").scrollTop = $("log").scrollHeight;
}

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    held += value;
    const parts = held.split("\n\n");
    held = parts.pop();
    for (const part of parts) if (part.startsWith("data: ") && part !== "data: [DONE]") yield JSON.parse(part.slice(6));
  }
}

async function answer() {
  if (controller) return;
  controller = new AbortController();
  $("send").hidden = true;
  $("stop").hidden = false;
  const system = $("system").value.trim();
  const reply = { role: "assistant", content: "" };
  const request = {
    model: $("model").value,
    messages: [...(system ? [{ role: "system", content: system }] : []), ...messages],
    temperature: Number($("temperature").value), top_p: Number($("top_p").value),
    max_tokens: Number($("max_tokens").value), stream: true, stream_options: { include_usage: true },
  };
  messages.push(reply);
  show();
  let first = 0, n = 0;
  try {
    const response = await fetch("/v1/chat/completions", { method: "POST", headers: headers(), body: JSON.stringify(request), signal: controller.signal });
    if (!response.ok) throw new Error((await response.json()).error.message);
    for await (const event of events(response)) {
      if (event.error) throw new Error(event.error.message);
      const delta = event.choices[0]?.delta;
      if (delta?.content) {
        reply.content += delta.content;
        first ||= performance.now();
        ++n;
        show();
        const s = (performance.now() - first) / 1000;
        if (s > 0) $("status").textContent = `${(n / s).toFixed(1)} tokens/s`;
      }
      if (event.usage) {
        const s = (performance.now() - first) / 1000, u = event.usage;
        $("status").textContent = `${u.completion_tokens} tokens, ${((u.completion_tokens - 1) / s).toFixed(1)} tokens/s; ` +
          `prompt ${u.prompt_tokens} tokens, ${u.prompt_tokens_details.cached_tokens} from the cache`;
      }
    }
  } catch (error) {
    if (error.name !== "AbortError") $("status").textContent = "Error: " + error.message;
    if (!reply.content) messages.pop();
  }
  controller = null;
  $("send").hidden = false;
  $("stop").hidden = true;
  save();
  show();
}

$("form").onsubmit = (event) => {
  event.preventDefault();
  const text = $("input").value.trim();
  if (!text || controller) return;
  messages.push({ role: "user", content: text });
  $("input").value = "";
  save();
  answer();
};
$("input").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); $("form").requestSubmit(); }
};
$("stop").onclick = () => controller?.abort();
$("new").onclick = () => { controller?.abort(); messages = []; save(); show(); $("input").focus(); };
for (const id of SETTINGS) {
  $(id).value = localStorage.getItem("callie." + id) ?? $(id).value;
  $(id).onchange = () => { localStorage.setItem("callie." + id, $(id).value); if (id === "key") models(); };
}
async function models() {
  const response = await fetch("/v1/models", { headers: headers() });
  if (!response.ok) { $("status").textContent = "An API key is needed: see Settings"; return; }
  const list = (await response.json()).data;
  $("model").replaceChildren(...list.map((one) => element("option", { value: one.id, textContent: one.id })));
}
models();
show();
$("input").focus();
