import type { Message, Speed } from "./conversations";
import type { Settings } from "./settings";

export class ApiError extends Error {
  constructor(message: string, readonly status: number) {
    super(message);
  }
}

function headers(apiKey: string): Record<string, string> {
  return { "Content-Type": "application/json", ...(apiKey ? { Authorization: `Bearer ${apiKey}` } : {}) };
}

async function failure(response: Response): Promise<ApiError> {
  const body = await response.json().catch(() => null);
  return new ApiError(body?.error?.message ?? `the server answered ${response.status}`, response.status);
}

export async function listModels(apiKey: string): Promise<string[]> {
  const response = await fetch("/v1/models", { headers: headers(apiKey) });
  if (!response.ok) throw await failure(response);
  return (await response.json()).data.map((model: { id: string }) => model.id);
}

// The data lines of a stream of server-sent events, up to [DONE].
async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<any> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    held += decoder.decode(value, { stream: true });
    for (let end = held.indexOf("\n\n"); end >= 0; end = held.indexOf("\n\n")) {
      const data = held.slice(0, end).replace(/^data: ?/, "");
      held = held.slice(end + 2);
      if (data === "[DONE]") return;
      if (data.startsWith("{")) yield JSON.parse(data);
    }
  }
}

export interface Delta {
  content: string;
  reasoning: string;
  speed?: Speed;
  cut?: boolean; // the longest answer was reached
}

// Streams the answer to `messages`; each Delta adds to the ones before. Aborting `signal` ends it with an AbortError.
export async function* answer(messages: Message[], settings: Settings, signal: AbortSignal): AsyncGenerator<Delta> {
  const system = settings.system.trim();
  const started = performance.now();
  const response = await fetch("/v1/chat/completions", {
    method: "POST",
    headers: headers(settings.apiKey),
    signal,
    body: JSON.stringify({
      model: settings.model,
      messages: [
        ...(system ? [{ role: "system", content: system }] : []),
        ...messages.map(({ role, content }) => ({ role, content })),
      ],
      temperature: settings.temperature,
      top_p: settings.topP,
      top_k: settings.topK,
      min_p: settings.minP,
      max_tokens: settings.maxTokens,
      ...(settings.seed.trim() ? { seed: Number(settings.seed) } : {}),
      stream: true,
      stream_options: { include_usage: true },
    }),
  });
  if (!response.ok) throw await failure(response);
  let first = 0;
  let received = 0;
  for await (const event of events(response.body!)) {
    if (event.error) throw new ApiError(event.error.message, 500);
    const choice = event.choices?.[0];
    const content = choice?.delta?.content ?? "";
    const reasoning = choice?.delta?.reasoning_content ?? "";
    const now = performance.now();
    if (content || reasoning) {
      first ||= now;
      ++received;
    }
    const seconds = (now - first) / 1000;
    const usage = event.usage;
    const generated = usage?.completion_tokens ?? received;
    yield {
      content,
      reasoning,
      cut: choice?.finish_reason === "length",
      speed: first
        ? {
            completionTokens: generated,
            tokensPerSecond: seconds > 0.005 ? Math.max(0, generated - 1) / seconds : 0 /* too short to tell */,
            promptTokens: usage?.prompt_tokens ?? 0,
            cachedTokens: usage?.prompt_tokens_details?.cached_tokens ?? 0,
            firstTokenMs: first - started,
          }
        : undefined,
    };
  }
}
