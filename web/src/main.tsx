import { render } from "preact";
import { App } from "./app";
import { loadConversations } from "./conversations";
import { applyTheme, loadSettings } from "./settings";
import "./style.css";

const settings = loadSettings();
applyTheme(settings.theme);
const conversations = await loadConversations();
render(<App saved={conversations} initialSettings={settings} />, document.getElementById("app")!);
