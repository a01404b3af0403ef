"""The alignment trainings that both sides run: rows, arguments. Uses only names that both have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

WORDS = (
    "[PAD] [END] [UNK] user assistant system : . the a cat dog sat on mat ran fast slow is it what who where hello "
    "there i am fine good bad yes no blue green sky grass sun moon one two three four five six seven eight nine ten"
).split()
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ' : ' }}{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + ' [END]' }}{% endgeneration %}{{ ' ' }}{% else %}"
    "{{ message['content'] + ' . ' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant : ' }}{% endif %}"
)
LLAMA: dict[str, Any] = dict(
    vocab_size=64, hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
    max_position_embeddings=64, pad_token_id=0, eos_token_id=1, bos_token_id=None, initializer_range=0.4,
)  # fmt: skip
COMMON: dict[str, Any] = dict(
    max_steps=4, per_device_train_batch_size=2, learning_rate=5e-3, logging_steps=1, save_strategy="no", use_cpu=True,
    report_to="none", disable_tqdm=True, bf16=False, gradient_checkpointing=False,
)  # fmt: skip
LORA: dict[str, Any] = dict(
    r=4, lora_alpha=8, lora_dropout=0.0, target_modules=["q_proj", "v_proj"], init_lora_weights=False,
    task_type="CAUSAL_LM",
)  # fmt: skip

TEXTS = [
    {"text": text}
    for text in (
        "the cat sat on the mat", "hello there", "the sky is blue and the grass is green", "i am fine", "one two three",
        "who is it", "where is the dog", "it ran fast", "the moon is good", "yes no yes no yes no yes",
    )
]  # fmt: skip
PAIRS = [
    {"prompt": prompt, "chosen": f" {chosen}", "rejected": f" {rejected}"}
    for prompt, chosen, rejected in (
        ("the sky is", "blue", "green and bad"), ("what is it", "a good cat", "no"), ("hello there", "i am", "bad"),
        ("one two three", "four five six", "ten nine"), ("where is the dog", "on the mat", "it ran fast on the moon"),
        ("the grass is", "green", "blue"), ("who ran", "the dog ran fast", "it"), ("is it", "yes it is", "no no no"),
    )
]  # fmt: skip


def said(role: str, text: str) -> dict[str, str]:
    """One message."""
    return {"role": role, "content": text}


CHATS = [
    {
        "messages": [
            said("system", "i am good"), said("user", row["prompt"]), said("assistant", row["chosen"].strip()),
            said("user", "who is it"), said("assistant", "a cat"),
        ]
    }
    for row in PAIRS
]  # fmt: skip
PROMPTS = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in PAIRS]
CHAT_PAIRS = [
    {
        "prompt": [said("user", row["prompt"])],
        "chosen": [said("assistant", row["chosen"].strip())],
        "rejected": [said("assistant", row["rejected"].strip())],
    }
    for row in PAIRS
]
WHOLE_PAIRS = [{side: row["prompt"] + row[side] for side in ("chosen", "rejected")} for row in PAIRS]
UNPAIRED = [
    {"prompt": row["prompt"], "completion": row["chosen"] if index % 3 else row["rejected"], "label": bool(index % 3)}
    for index, row in enumerate(PAIRS)
]
CHAT_PROMPTS = [{"prompt": row["prompt"]} for row in CHAT_PAIRS]
ROWS = {
    "chat_prompts": CHAT_PROMPTS,
    "texts": TEXTS, "pairs": PAIRS, "chats": CHATS, "prompts": PROMPTS, "chat_pairs": CHAT_PAIRS,
    "whole_pairs": WHOLE_PAIRS, "unpaired": UNPAIRED,
}  # fmt: skip

# What is written without drawing is the same on both sides; equal completions of a group cancel out, and teach nothing.
GREEDY: dict[str, Any] = dict(
    num_generations=4, per_device_train_batch_size=4, max_completion_length=6, generation_kwargs={"do_sample": False},
)  # fmt: skip

GIVEN: dict[str, Any] = {name: value for name, value in GREEDY.items() if name != "generation_kwargs"}


ONLINE: dict[str, Any] = dict(per_device_train_batch_size=4, max_new_tokens=6, max_length=64, max_steps=3)
PPO: dict[str, Any] = dict(
    total_episodes=16, per_device_train_batch_size=8, num_ppo_epochs=2, response_length=6, num_sample_generations=0,
    max_steps=-1,
)  # fmt: skip


def answers(prompts: list[list[int]], longest: int, placed: bool = True) -> list[list[int]]:
    """Completions that neither side draws: each another one, some with an end."""
    made = []
    for place, prompt in enumerate(prompts):
        place *= placed
        length = longest - (place * 3 + len(prompt)) % 3
        ids = [3 + (sum(prompt) * (step + 2) + 7 * place + step * step) % 45 for step in range(length)]
        made.append([*ids[:-1], 1] if length < longest else ids)
    return made


def rollout(prompts: list[Any], trainer: Any) -> dict[str, Any]:
    """Completions in the place of drawn ones."""
    ids = trainer.processing_class(prompts)["input_ids"]
    return {"prompt_ids": ids, "completion_ids": answers(ids, 6), "logprobs": None}


def counted(completions: list[Any], completion_ids: list[list[int]], **kwargs: Any) -> list[float]:
    """A reward that tells equal completions of a group apart, by their places."""
    return [float(sum(ids) % 7) + place % 3 for place, ids in enumerate(completion_ids)]


async def brief(completions: list[Any], completion_ids: list[list[int]], **kwargs: Any) -> list[float | None]:
    """A reward that says nothing about every fifth completion."""
    return [None if place % 5 == 4 else 0.1 * (place % 4) - len(ids) for place, ids in enumerate(completion_ids)]


# name → (trainer, rows, arguments, with an adapter)
RUNS: dict[str, tuple[str, str, dict[str, Any], bool]] = {
    "sft": ("SFT", "texts", {}, False),
    "sft-windows": ("SFT", "texts", {"gradient_accumulation_steps": 2, "max_steps": 3}, False),
    "sft-completions": ("SFT", "prompts", {}, False),
    "sft-whole": ("SFT", "prompts", {"completion_only_loss": False}, False),
    "sft-dft": ("SFT", "texts", {"loss_type": "dft"}, False),
    "sft-chat": ("SFT", "chats", {}, False),
    "sft-assistant": ("SFT", "chats", {"assistant_only_loss": True}, False),
    "sft-short": ("SFT", "texts", {"max_length": 5}, False),
    "sft-packed": ("SFT", "texts", {"packing": True, "max_length": 12}, False),
    "sft-wrapped": ("SFT", "texts", {"packing": True, "max_length": 12, "packing_strategy": "wrapped"}, False),
    "sft-flat": ("SFT", "texts", {"padding_free": True, "max_length": None}, False),
    "sft-lora": ("SFT", "prompts", {}, True),
    "dpo-lora": ("DPO", "pairs", {"loss_type": ["sigmoid"]}, True),
    "dpo-chat": ("DPO", "chat_pairs", {}, False),
    "dpo-whole": ("DPO", "whole_pairs", {"max_length": 7}, False),
    "dpo-precomputed": ("DPO", "pairs", {"precompute_ref_log_probs": True}, False),
    "dpo-ld": ("DPO", "pairs", {"ld_alpha": 0.3}, False),
    "dpo-weighted": ("DPO", "pairs", {"use_weighting": True}, False),
    "dpo-mixed": ("DPO", "pairs", {"loss_type": ["sigmoid", "bco_pair", "sft"], "loss_weights": [1, 0.2, 2]}, False),
    **{
        f"dpo-{kind}": ("DPO", "pairs", {"loss_type": [kind], "label_smoothing": smoothing, "max_steps": 2}, False)
        for kind, smoothing in (
            ("sigmoid", 0.0), ("hinge", 0.0), ("ipo", 0.0), ("exo_pair", 1e-3), ("nca_pair", 0.0), ("robust", 0.1),
            ("bco_pair", 0.0), ("sppo_hard", 0.0), ("aot", 0.1), ("aot_unpaired", 0.0), ("apo_zero", 0.0),
            ("apo_down", 0.0), ("discopop", 0.0), ("sft", 0.0), ("sigmoid_norm", 0.0),
        )
    },
    **{
        f"dpo-{kind}": ("DPO", "pairs", {"f_divergence_type": kind, "max_steps": 2}, False)
        for kind in ("forward_kl", "js_divergence", "alpha_divergence")
    },
    "reward": ("Reward", "pairs", {}, False),
    "reward-centred": ("Reward", "chat_pairs", {"center_rewards_coefficient": 0.5}, False),
    "kto": ("KTO", "unpaired", {"desirable_weight": 1.5, "per_device_train_batch_size": 4}, False),
    "kto-pairs": ("KTO", "pairs", {"loss_type": "apo_zero_unpaired", "per_device_train_batch_size": 4}, False),
    "orpo": ("ORPO", "pairs", {}, False),
    "orpo-chat": ("ORPO", "chat_pairs", {}, False),
    "cpo": ("CPO", "pairs", {"label_smoothing": 0.1}, False),
    "cpo-hinge": ("CPO", "pairs", {"loss_type": "hinge", "max_steps": 2}, False),
    "cpo-ipo": ("CPO", "pairs", {"loss_type": "ipo", "max_steps": 2}, False),
    "simpo": ("CPO", "pairs", {"loss_type": "simpo", "cpo_alpha": 0.0, "simpo_gamma": 0.3}, False),
    "alphapo": ("CPO", "pairs", {"loss_type": "simpo", "alpha": 0.25}, False),
    "bco": ("BCO", "unpaired", {"per_device_train_batch_size": 4, "train_sampling_strategy": "sequential"}, False),
    **{
        f"grpo-{kind}": ("GRPO", "pairs", {**GIVEN, "loss_type": kind, "max_steps": 2}, False)
        for kind in ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "vespo", "luspo")
    },
    "grpo-again": ("GRPO", "pairs", {**GIVEN, "num_iterations": 2, "loss_type": "grpo", "beta": 0.1}, False),
    "grpo-again-sapo": ("GRPO", "pairs", {**GIVEN, "num_iterations": 2, "loss_type": "sapo"}, False),
    "grpo-again-vespo": ("GRPO", "pairs", {**GIVEN, "num_iterations": 2, "loss_type": "vespo"}, False),
    "grpo-again-cispo": ("GRPO", "pairs", {**GIVEN, "num_iterations": 2, "loss_type": "cispo"}, False),
    "gspo": ("GRPO", "pairs", {**GIVEN, "num_iterations": 2, "importance_sampling_level": "sequence"}, False),
    "grpo-windows": ("GRPO", "pairs", {**GIVEN, "gradient_accumulation_steps": 2, "temperature": 0.7}, False),
    "grpo-greedy": ("GRPO", "chat_prompts", {**GREEDY, "beta": 0.1, "max_steps": 1}, False),
    "grpo-lora": ("GRPO", "pairs", {**GIVEN, "beta": 0.1}, True),
    "grpo-entropy": ("GRPO", "pairs", {**GIVEN, "entropy_coef": 0.1, "top_entropy_quantile": 0.5}, False),
    "grpo-batch": ("GRPO", "pairs", {**GIVEN, "scale_rewards": "batch", "mask_truncated_completions": True}, False),
    "gdpo": ("GRPO", "pairs", {**GIVEN, "multi_objective_aggregation": "normalize_then_sum"}, False),
    "rloo": ("RLOO", "pairs", {**GIVEN}, False),
    "ppo": ("PPO", "pairs", {**PPO}, False),
    "ppo-adapter": ("PPO", "pairs", {**PPO, "kl_estimator": "k3", "missing_eos_penalty": 1.0}, True),
    "ppo-whitened": (
        "PPO", "pairs", {**PPO, "whiten_rewards": True, "stop_token": "eos"}, False
    ),
    "gkd": ("GKD", "chats", {"lmbda": 0.0, "beta": 0.3}, False),
    "online-dpo": ("OnlineDPO", "pairs", {**ONLINE, "missing_eos_penalty": 1.0}, False),
    "online-ipo": ("OnlineDPO", "pairs", {**ONLINE, "loss_type": "ipo", "beta": 0.5}, False),
    "rloo-normal": ("RLOO", "pairs", {**GIVEN, "beta": 0.0, "normalize_advantages": True}, False),
}  # fmt: skip
# Trainers that the peer keeps in a place of their own, and those that only its older version has.
EXPERIMENTAL = ("ORPO", "CPO", "BCO", "GKD", "OnlineDPO", "XPO", "NashMD", "PPO")
OLDER = ("BCO", "XPO", "NashMD", "PPO")


def run(side: SimpleNamespace, folder: str, name: str) -> list[dict[str, float]]:
    """Run one training and return what it logs."""
    kind, rows, options, adapter = RUNS[name]
    home = side.experimental(kind) if kind in EXPERIMENTAL else side.trl
    config, trainer = (getattr(home, kind + part) for part in ("Config", "Trainer"))
    args = config(f"{folder}/out-{name}", **{**COMMON, **options})
    tokenizer = side.transformers.AutoTokenizer.from_pretrained(folder + "/llama")
    heads = {"Reward": "AutoModelForSequenceClassification"}
    architecture = getattr(side.transformers, heads.get(kind, "AutoModelForCausalLM"))
    model = architecture.from_pretrained(folder + ("/judge" if kind == "Reward" else "/llama"))
    extra: dict[str, Any] = {}
    dataset = side.datasets.Dataset.from_list(ROWS[rows])
    if kind == "PPO":
        judge = side.transformers.AutoModelForSequenceClassification
        extra["reward_model"], extra["value_model"] = (judge.from_pretrained(folder + "/judge") for _ in range(2))
        extra["ref_model"] = None if adapter else architecture.from_pretrained(folder + "/llama")
        tokenizer.padding_side = "left"
        ids = tokenizer([row["prompt"] for row in ROWS[rows]])["input_ids"]
        dataset = side.datasets.Dataset.from_dict({"input_ids": ids})
        extra["eval_dataset"] = dataset
        side.draw(home)
    if adapter:
        side.torch.manual_seed(0)
        extra["peft_config"] = side.peft.LoraConfig(**LORA)
    if kind == "GKD":
        extra["teacher_model"] = architecture.from_pretrained(folder + "/llama-teacher")
    if kind == "OnlineDPO":
        extra["reward_funcs"] = [counted]
        side.draw(home)
    if kind in ("GRPO", "RLOO"):
        extra["reward_funcs"] = [counted, brief]
        if "generation_kwargs" not in options and (kind == "GRPO" or hasattr(trainer, "rolled_out")):
            extra["rollout_func"] = rollout
    made = trainer(
        model=model, args=args, train_dataset=dataset, processing_class=tokenizer,
        **extra,
    )  # fmt: skip
    if kind == "RLOO" and not hasattr(trainer, "rolled_out"):
        made._generate_single_turn = lambda prompts, *others, **named: answers(prompts, 6)
    if kind == "OnlineDPO" and not hasattr(made, "rolled_out"):
        made._generate = lambda model, prompts, images: side.padded(made, prompts)
    made.train()
    return [{k: v for k, v in log.items() if isinstance(v, (int, float))} for log in made.state.log_history]
