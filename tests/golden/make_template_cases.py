#!/usr/bin/env python3
"""Chat-template cases with the text that Jinja2 renders, in the environment that Hugging Face uses.

  make_template_cases.py own                     -> templates.json: the templates below, committed
  make_template_cases.py real DIR                -> real_templates.json: the templates of LICENCES below, committed
  make_template_cases.py DIR -o cases.json       -> every *.jinja of DIR (for example models/templates of llama.cpp's
                                                    source package); run test_chat with CALLIE_TEMPLATE_CASES=cases.json
Needs: pip install jinja2
"""
import datetime
import json
import pathlib
import sys

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

NOW = 1753963200  # 2025-07-31 12:00:00 UTC

OWN = {
    "turns": "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>\n{{ m['content'] | trim }}{{ eos_token }}\n"
             "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
    "namespace": "{% set ns = namespace(system='', n=0) %}{% for m in messages %}{% if m.role == 'system' %}"
                 "{% set ns.system = m.content %}{% else %}{% set ns.n = ns.n + 1 %}{% endif %}{% endfor %}"
                 "[{{ ns.system }}|{{ ns.n }}]",
    "loop": "{% for m in messages %}{% if loop.first %}first {% endif %}{% if m.role == 'system' %}{% continue %}"
            "{% endif %}{{ loop.index0 }}:{{ m.content[:4] }}{% if loop.last %}.{% else %}, {% endif %}"
            "{% if loop.index > 3 %}{% break %}{% endif %}{% endfor %}",
    "tools": "{% if tools %}{{ tools | tojson }}\n{{ tools | tojson(indent=2) }}\n{% for t in tools %}"
             "{{ t.function.name }}({% for k, v in t.function.parameters.properties.items() %}{{ k }}: {{ v.type }}"
             "{% if not loop.last %}, {% endif %}{% endfor %})\n{% endfor %}{% endif %}",
    "strings": "{{ 'a-b-c'.split('-') | join('+') }} {{ ' x '.strip() }} {{ 'Ab'.upper() }} {{ 'abc'.startswith('ab') }}"
               " {{ 'title me' | title }} {{ messages[-1].content | length }} {{ messages[-1]['content'].lower() }}"
               " {{ 'a\\nb'.rstrip('b') }}|{{ none is none }} {{ 1.5 * 2 }} {{ 7 // 2 }} {{ true and not false }}",
    "macro": "{% macro turn(role, text) -%}\n<{{ role }}>{{ text }}</{{ role }}>\n{%- endmacro %}"
             "{%- for m in messages -%}{{ turn(m.role, m.content) }}{%- endfor %}",
    "raises": "{% if messages[0].role != 'user' %}{{ raise_exception('the first turn must be the user\\'s') }}{% endif %}ok",
    "date": "{{ strftime_now('%d %b %Y') }}",
    "thinking": "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n{% endif %}x",
    "slices": "{% for m in messages[1:] %}{{ m.role[0] }}{% endfor %}{% for m in messages[::-1] %}{{ m.role[-1] }}{% endfor %}",
}

# Templates of real models whose licence lets them be copied, as they lie in llama.cpp's source package.
APACHE, MIT = "Apache-2.0", "MIT"
LICENCES = {
    "Apertus-8B-Instruct": APACHE, "ByteDance-Seed-OSS": APACHE, "GLM-4.6": MIT, "GLM-4.7-Flash": MIT,
    "GigaChat3-10B-A1.8B": MIT, "HuggingFaceTB-SmolLM3-3B": APACHE, "MiniMax-M1": APACHE,
    "Mistral-Small-3.2-24B-Instruct-2506": APACHE, "Qwen-QwQ-32B": APACHE, "Qwen-Qwen2.5-7B-Instruct": APACHE,
    "Qwen-Qwen3-0.6B": APACHE, "Qwen3-Coder": APACHE, "Qwen3.5-4B": APACHE, "StepFun3.5-Flash": APACHE,
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": MIT, "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": MIT,
    "deepseek-ai-DeepSeek-V3.1": MIT, "deepseek-ai-DeepSeek-V3.2": MIT, "ibm-granite-granite-3.3-2B-Instruct": APACHE,
    "ibm-granite-granite-4.0": APACHE, "microsoft-Phi-3.5-mini-instruct": MIT,
    "mistralai-Ministral-3-14B-Reasoning-2512": APACHE, "mistralai-Mistral-Nemo-Instruct-2407": APACHE,
    "openai-gpt-oss-120b": APACHE, "unsloth-Apriel-1.5": MIT, "unsloth-mistral-Devstral-Small-2507": APACHE,
}

TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a place, <now>.",
    "parameters": {"type": "object", "properties": {"place": {"type": "string", "description": "a town"},
                                                    "days": {"type": "integer"}}, "required": ["place"]}}}]
CALL = {"role": "assistant", "content": "", "tool_calls": [
    {"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": {"place": "Köln", "days": 2}}}]}

CONVERSATIONS = {
    "user": {"messages": [{"role": "user", "content": "Why is the sky blue?"}]},
    "system": {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " Hi\n"}]},
    "turns": {"messages": [{"role": "user", "content": "1 < 2 & \"so\" 'on' é 😀"}, {"role": "assistant", "content": "Yes."},
                           {"role": "user", "content": "And?"}]},
    "no_prompt": {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
                  "add_generation_prompt": False},
    "thinking_off": {"messages": [{"role": "user", "content": "Hi"}], "extra": {"enable_thinking": False}},
    "thinking_on": {"messages": [{"role": "user", "content": "Hi"}], "extra": {"enable_thinking": True}},
    "tools": {"messages": [{"role": "system", "content": "Help."}, {"role": "user", "content": "Weather?"}], "tools": TOOLS},
    "tool_turns": {"messages": [{"role": "user", "content": "Weather?"}, CALL,
                                {"role": "tool", "name": "get_weather", "tool_call_id": "call00001", "content": "{\"t\": 21}"},
                                {"role": "user", "content": "Thanks"}], "tools": TOOLS},
}


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[jinja2.ext.loopcontrols])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda f: datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).strftime(f)
    return env


def cases(templates):
    env = environment()
    for name, source in list(templates.items()):
        try:
            compiled = env.from_string(source)
        except jinja2.exceptions.TemplateSyntaxError as problem:
            print(f"left out: {name}: {problem}", file=sys.stderr)
            del templates[name]
            continue
        for label, conversation in CONVERSATIONS.items():
            variables = {"messages": conversation["messages"], "tools": conversation.get("tools"), "documents": None,
                         "add_generation_prompt": conversation.get("add_generation_prompt", True),
                         "bos_token": "<s>", "eos_token": "</s>"} | conversation.get("extra", {})
            try:
                expected = compiled.render(**variables)
            except Exception:  # whatever the template does on this conversation, ours must refuse as well
                expected = None
            yield {"name": name, "case": label, "expected": expected}


def main():
    here, what = pathlib.Path(__file__).parent, sys.argv[1]
    folder = lambda path: {p.name: p.read_text() for p in sorted(pathlib.Path(path).glob("*.jinja"))}
    if what == "own":
        templates, out = OWN, here / "templates.json"
    elif what == "real":
        templates, out = {n: t for n, t in folder(sys.argv[2]).items() if n[:-6] in LICENCES}, here / "real_templates.json"
    else:
        templates, out = folder(what), pathlib.Path(sys.argv[3])
    found = list(cases(templates))
    golden = {"now": NOW, "templates": templates, "conversations": CONVERSATIONS, "cases": found}
    if what == "real":
        golden["licences"] = LICENCES
    out.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
