// Markdown to HTML. The model's own HTML is shown as text (html: false) and only http, https and mailto links stay links
// (markdown-it's default), so the result is safe to insert.
import hljs from "highlight.js/lib/common";
import MarkdownIt from "markdown-it";

function highlighted(code: string, language: string): string {
  if (language && hljs.getLanguage(language)) return hljs.highlight(code, { language }).value;
  return markdown.utils.escapeHtml(code);
}

const markdown: MarkdownIt = new MarkdownIt({ html: false, linkify: false, breaks: false });

markdown.renderer.rules.fence = (tokens, index) => {
  const language = tokens[index].info.trim().split(/\s+/)[0];
  const label = markdown.utils.escapeHtml(language || "text");
  return (
    `<figure class="code"><figcaption>${label}<button type="button" class="copy" aria-label="Copy the code">Copy</button>` +
    `</figcaption><pre tabindex="0"><code>${highlighted(tokens[index].content, language)}</code></pre></figure>`
  );
};

// Pictures would be fetched from other hosts; their text and address are shown as a link.
markdown.renderer.rules.image = (tokens, index) => {
  const address = markdown.utils.escapeHtml(tokens[index].attrGet("src") ?? "");
  return `<a href="${address}" target="_blank" rel="noopener noreferrer">${markdown.utils.escapeHtml(tokens[index].content || address)}</a>`;
};

markdown.renderer.rules.link_open = (tokens, index, options, _environment, renderer) => {
  tokens[index].attrSet("target", "_blank");
  tokens[index].attrSet("rel", "noopener noreferrer");
  return renderer.renderToken(tokens, index, options);
};

export function toHtml(text: string): string {
  return markdown.render(text);
}
