"""Run by both libraries: conversations through many chat templates, printed as JSON on the last line."""

from __future__ import annotations

import enum
import importlib
import json
import sys
from pathlib import Path
from typing import Any, Literal, Optional, Union

PLAIN = (
    "{% for message in messages %}<|{{ message.role }}|>\n{{ message['content'] | trim }}{{ eos_token }}\n"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
EXACT = "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}[/{{ m.role }}]{% endfor %}"
MARKED = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }} done{% endgeneration %}"
    "{% else %}{{ m.role }}: {{ m.content }}{% endif %}\n{% endfor %}"
)
BLOCKS = """
{%- for m in messages %}
    {%- if m.content is string %}
        {{- m.role + ': ' + m.content }}
    {%- else %}
        {{- m.role + ': ' }}
        {%- for part in m.content %}
            {%- if part.type == 'image' or 'image' in part %}<image>{% elif 'text' in part %}{{ part.text }}{% endif %}
        {%- endfor %}
    {%- endif %}
    {{- '\\n' }}
{%- endfor %}
"""
TOOLS = (
    "{%- if tools %}{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}{% endif %}"
    "{%- if documents %}{% for d in documents %}{{ loop.index }}. {{ d.title }}: {{ d.text }}\n{% endfor %}{% endif %}"
    "{%- for m in messages %}{{ m.role }}: {{ m.content or '' }}{% if 'tool_calls' in m %}"
    "{{ m.tool_calls | tojson(indent=2) }}{% endif %}{% if m.reasoning_content is defined %}({{ m.reasoning_content }})"
    "{% endif %}\n{% endfor %}"
)
RULES = (
    "{%- set ns = namespace(last='') %}{% for m in messages %}{% if m.role == ns.last %}"
    "{{ raise_exception('two messages of ' + m.role) }}{% endif %}{% set ns.last = m.role %}"
    "{{ m.content.split('</x>')[-1] }}"
    "{% if loop.index0 > 2 %}{% break %}{% endif %};{% endfor %}{{ extra | default('none') }}"
)
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "  What is 2 + 2?  "},
    {"role": "assistant", "content": "It is 4. "},
]
IMAGES = [
    {"role": "user", "content": [{"type": "image", "image": object()}, {"type": "text", "text": "What is it?"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "A cat. "}]},
]
CALLS = [
    {"role": "user", "content": "Weather in Bonn?"},
    {
        "role": "assistant",
        "content": None,
        "reasoning": "I should look.",
        "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Bonn"}}}],
    },
    {"role": "tool", "name": "weather", "content": "18 °C"},
    {"role": "assistant", "content": "18 °C, <|im_end|> they say.", "thinking": "Simple."},
]
DOCUMENTS = [{"title": "One", "text": "first"}, {"title": "Two", "text": "second & <last>"}]


class Unit(enum.Enum):
    CELSIUS = "celsius"
    KELVIN = "kelvin"


def weather(city: str, unit: Literal["celsius", "fahrenheit"] = "celsius", days: Optional[int] = None) -> float:  # noqa: UP045
    """
    Get the weather of a city.

    Args:
        city: The city, for example
            Bonn: a city on the Rhine.
        unit: The unit (choices: ["celsius", "fahrenheit "])
        days: How many days.

    Returns:
        The temperature.
    """
    return 0.0


def mixed(
    a: Union[int, str],  # noqa: UP007
    b: list[dict[str, float]],
    c: tuple[int, str],
    d: Any,
    e: Unit,
    f: Literal[1, "x", None],
    g: Union[list[int], str, None] = None,  # noqa: UP007
    h: dict = {},  # noqa: B006
) -> Unit:
    """Do much.

    Args:
        a: first
        b: second
        c: third
        d: fourth
        e: fifth
        f: sixth
        g: seventh
        h: eighth
    """
    return Unit.KELVIN


class Holder:
    def method(self, x: int) -> Holder:
        """Hold a number.

        Args:
            x: the number
        """
        return self


def undocumented(x: int) -> int:
    """No arguments here."""
    return x


def odd(x: Holder) -> int:
    """Take an object.

    Args:
        x: it
    """
    return 0


def attempt(make: Any) -> Any:
    try:
        made = make()
    except Exception:
        return "error"
    return {key: list(value) for key, value in made.items()} if hasattr(made, "items") else made


def templates(tokenizer: Any) -> dict[str, Any]:
    """Return what a tokenizer's conversations become with each template."""
    found: dict[str, Any] = {}

    def put(name: str, *args: Any, **kwargs: Any) -> None:
        found[name] = attempt(lambda: tokenizer.apply_chat_template(*args, **kwargs))

    for name, template in {"plain": PLAIN, "exact": EXACT, "rules": RULES, "blocks": BLOCKS, "tools": TOOLS}.items():
        text = {"chat_template": template, "tokenize": False}
        put(f"{name} text", CHAT, **text)
        put(f"{name} prompt", CHAT[:2], add_generation_prompt=True, **text)
        put(f"{name} open", CHAT, continue_final_message=True, **text)
        put(f"{name} batch", [CHAT, CHAT[:2]], **text)
        put(f"{name} images", IMAGES, **text)
        put(f"{name} images open", IMAGES, continue_final_message=True, **text)
        put(f"{name} calls", CALLS, tools=[weather, mixed, {"a": 1}], documents=DOCUMENTS, **text)
        put(f"{name} open calls", CALLS, continue_final_message="reasoning_content", **text)
        put(f"{name} extra", CHAT[:1], extra="more", **text)
        put(f"{name} twice", [CHAT[0], CHAT[0]], **text)
        put(f"{name} ids", CHAT, chat_template=template)
        put(f"{name} list", CHAT, chat_template=template, return_dict=False)
        put(f"{name} clean", CALLS, chat_template=template, sanitize_control_tokens=True)
    put("mask", CHAT, chat_template=MARKED, return_assistant_tokens_mask=True)
    put("mask batch", [CHAT, [*CHAT, *CHAT]], chat_template=MARKED, return_assistant_tokens_mask=True, padding=True)
    put("mask cut", CHAT, chat_template=MARKED, return_assistant_tokens_mask=True, truncation=True, max_length=12)
    put("both", CHAT, continue_final_message=True, add_generation_prompt=True, chat_template=PLAIN)
    put("mask open", CHAT, continue_final_message=True, return_assistant_tokens_mask=True, chat_template=MARKED)
    put("empty", [], chat_template=PLAIN)
    put("no text", [{"role": "user"}], continue_final_message=True, chat_template=EXACT, tokenize=False)
    put("strings", ["a", "b"], chat_template=EXACT, tokenize=False)
    put("wrong tool", CHAT, tools=[odd], chat_template=TOOLS, tokenize=False)
    put("wrong document", CHAT, documents=["text"], chat_template=TOOLS, tokenize=False)
    own = tokenizer.chat_template
    tokenizer.chat_template = {"default": PLAIN, "tool_use": TOOLS, "rag": EXACT}
    put("named default", CHAT, tokenize=False)
    put("named tools", CHAT, tools=[weather], tokenize=False)
    put("named rag", CHAT, chat_template="rag", tokenize=False)
    tokenizer.chat_template = {"tool_use": TOOLS}
    put("named none", CHAT, tokenize=False)
    tokenizer.chat_template = own
    return found


def real(tokenizer: Any) -> dict[str, Any]:
    """Return what a tokenizer's own template makes of conversations."""
    found: dict[str, Any] = {}
    user = {"role": "user", "content": "What is 2 + 2?"}
    answer = {"role": "assistant", "content": "It is 4."}
    for name, chat in {
        "chat": CHAT,
        "user": [user],
        "turns": [user, answer, user],
        "calls": CALLS,
        "images": IMAGES,
        "thoughts": [user, {**answer, "content": "<think>\nhm\n</think>\n\nIt is 4."}],
        "empty": [],
    }.items():
        for kind, options in {
            "text": {},
            "prompt": {"add_generation_prompt": True},
            "open": {"continue_final_message": True},
            "tools": {"tools": [weather, mixed]},
            "documents": {"documents": DOCUMENTS},
            "options": {"enable_thinking": False, "reasoning_effort": "high", "add_generation_prompt": True},
        }.items():
            found[f"{name} {kind}"] = attempt(
                lambda chat=chat, options=options: tokenizer.apply_chat_template(chat, tokenize=False, **options)
            )
        found[f"{name} ids"] = attempt(lambda chat=chat: tokenizer.apply_chat_template(chat))
        found[f"{name} clean"] = attempt(
            lambda chat=chat: tokenizer.apply_chat_template(chat, sanitize_control_tokens=True)
        )
    return found


def main(library: str, folders: dict[str, str]) -> dict[str, Any]:
    auto = importlib.import_module(library).AutoTokenizer
    tools = importlib.import_module(library + (".utils" if library == "transformers" else ".tokenization"))
    found: dict[str, Any] = {"schemas": {}}
    for tool in (weather, mixed, Holder().method, undocumented, odd):
        found["schemas"][tool.__name__] = attempt(lambda tool=tool: tools.get_json_schema(tool))
    for name, folder in folders.items():
        tokenizer = auto.from_pretrained(folder)
        found[name] = real(tokenizer) if tokenizer.chat_template else {}
        if name in ("smollm2", "bert"):
            found[name] |= templates(tokenizer)
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    print(json.dumps(main(sys.argv[1], json.loads(sys.argv[2]))))
