"""Tasks on texts, for both clients."""

from __future__ import annotations

import json
from typing import Any

from enfold.hub.inference import answers, chat
from enfold.hub.inference.calls import Call, given

__all__ = ["TextTasks"]


class TextTasks:
    """Calls about texts. What they say they return, the async client's calls return when they are awaited."""

    def _ask(self, call: Call) -> Any:
        raise NotImplementedError

    def _task(
        self, task: str, model: str | None, inputs: Any, parameters: dict[str, Any], read: Any, **top: Any
    ) -> Any:
        body = {"inputs": inputs, **({"parameters": parameters} if parameters else {}), **top}
        return self._ask(Call(task, model, body=body, read=lambda data: read(json.loads(data))))

    def chat_completion(
        self,
        messages: list[Any],
        *,
        model: str | None = None,
        stream: bool = False,
        frequency_penalty: float | None = None,
        logit_bias: list[float] | None = None,
        logprobs: bool | None = None,
        max_tokens: int | None = None,
        n: int | None = None,
        presence_penalty: float | None = None,
        response_format: Any = None,
        seed: int | None = None,
        stop: list[str] | None = None,
        stream_options: Any = None,
        temperature: float | None = None,
        tool_choice: Any = None,
        tool_prompt: str | None = None,
        tools: list[Any] | None = None,
        top_logprobs: int | None = None,
        top_p: float | None = None,
        extra_body: dict[str, Any] | None = None,
    ) -> Any:
        """Return the next message of a chat, a ``ChatCompletionOutput``.

        Args:
            messages: ``{"role": "user", "content": "…"}`` and so on, the oldest first.
            model: a model's id or a server's address; the client's by default.
            stream: yield ``ChatCompletionStreamOutput`` objects as the message is written.
            frequency_penalty: how much less likely a token becomes by every time it came before (-2 to 2).
            logit_bias: token → what is added to its score.
            logprobs: also tell how likely the tokens were.
            max_tokens: how long the message may become.
            n: how many messages to choose from.
            presence_penalty: how much less likely a token becomes when it came before (-2 to 2).
            response_format: "json_object" or a JSON schema that the message must follow.
            seed: makes what is drawn repeatable.
            stop: texts before which the message ends.
            stream_options: ``{"include_usage": True}`` has the last event tell how many tokens there were.
            temperature: how freely tokens are drawn.
            tool_choice: "auto", "none", "required", or the function to call.
            tool_prompt: what introduces the tools.
            tools: functions that the model may ask to be called.
            top_logprobs: how many rivals of each token are told.
            top_p: the share of probability that tokens are drawn from.
            extra_body: further fields, for this server alone.

        Raises:
            InferenceTimeoutError, HfHubHTTPError, TextGenerationError

        Example:
            >>> client = InferenceClient("http://127.0.0.1:8080")  # doctest: +SKIP
            >>> client.chat_completion([{"role": "user", "content": "Hello"}]).choices[0].message.content
            'Hello! How can I help?'
        """
        body = given(
            messages=messages,
            stream=stream,
            frequency_penalty=frequency_penalty,
            logit_bias=logit_bias,
            logprobs=logprobs,
            max_tokens=max_tokens,
            n=n,
            presence_penalty=presence_penalty,
            response_format=response_format,
            seed=seed,
            stop=stop,
            stream_options=stream_options,
            temperature=temperature,
            tool_choice=tool_choice,
            tool_prompt=tool_prompt,
            tools=tools,
            top_logprobs=top_logprobs,
            top_p=top_p,
        )
        return self._ask(
            Call(
                "conversational",
                model,
                body={**body, **(extra_body or {})},
                read=chat.ChatCompletionOutput.parse_obj_as_instance,
                read_event=chat.ChatCompletionStreamOutput.parse_obj_as_instance if stream else None,
            )
        )

    def text_generation(
        self,
        prompt: str,
        *,
        details: bool | None = None,
        stream: bool | None = None,
        model: str | None = None,
        adapter_id: str | None = None,
        best_of: int | None = None,
        decoder_input_details: bool | None = None,
        do_sample: bool | None = None,
        frequency_penalty: float | None = None,
        grammar: Any = None,
        max_new_tokens: int | None = None,
        repetition_penalty: float | None = None,
        return_full_text: bool | None = None,
        seed: int | None = None,
        stop: list[str] | None = None,
        stop_sequences: list[str] | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_n_tokens: int | None = None,
        top_p: float | None = None,
        truncate: int | None = None,
        typical_p: float | None = None,
        watermark: bool | None = None,
    ) -> Any:
        """Return how a text goes on: a string, or a ``TextGenerationOutput`` with ``details``.

        Args:
            prompt: the text.
            details: also tell the tokens, how likely they were, and why the text ended.
            stream: yield tokens as they are written: strings, or ``TextGenerationStreamOutput`` with ``details``.
            model: a model's id or a server's address; the client's by default.
            adapter_id: the adapter to use.
            best_of: how many texts to write, of which the likeliest is returned.
            decoder_input_details: also tell the tokens of the prompt.
            do_sample: draw tokens instead of taking the likeliest.
            frequency_penalty: how much less likely a token becomes by every time it came before.
            grammar: a JSON schema or a regular expression that the text must follow.
            max_new_tokens: how long it may become.
            repetition_penalty: divides the score of tokens that came before.
            return_full_text: begin with the prompt.
            seed: makes what is drawn repeatable.
            stop: texts before which it ends.
            stop_sequences: what older programs call ``stop``.
            temperature: how freely tokens are drawn.
            top_k: from how many tokens is drawn.
            top_n_tokens: how many rivals of each token are told.
            top_p: the share of probability that tokens are drawn from.
            truncate: cut the prompt to this many tokens.
            typical_p: the share of typical tokens that are drawn from.
            watermark: mark the text as written by a machine.

        Raises:
            InferenceTimeoutError, HfHubHTTPError, TextGenerationError
        """
        parameters = given(
            adapter_id=adapter_id,
            best_of=best_of,
            decoder_input_details=decoder_input_details,
            details=details,
            do_sample=do_sample,
            frequency_penalty=frequency_penalty,
            grammar=grammar,
            max_new_tokens=max_new_tokens,
            repetition_penalty=repetition_penalty,
            return_full_text=return_full_text,
            seed=seed,
            stop=stop if stop is not None else stop_sequences,
            temperature=temperature,
            top_k=top_k,
            top_n_tokens=top_n_tokens,
            top_p=top_p,
            truncate=truncate,
            typical_p=typical_p,
            watermark=watermark,
        )

        def read(data: bytes) -> Any:
            found = chat.TextGenerationOutput.parse_obj_as_instance(data)
            return found if details else found.generated_text

        def read_event(event: Any) -> Any:
            found = chat.TextGenerationStreamOutput.parse_obj_as_instance(event)
            return found if details else found.token.text

        body = {"inputs": prompt, "parameters": parameters, "stream": bool(stream)}
        return self._ask(
            Call("text-generation", model, body=body, read=read, read_event=read_event if stream else None)
        )

    def feature_extraction(
        self,
        text: str | list[str],
        *,
        normalize: bool | None = None,
        prompt_name: str | None = None,
        truncate: bool | None = None,
        truncation_direction: str | None = None,
        dimensions: int | None = None,
        encoding_format: str | None = None,
        model: str | None = None,
    ) -> Any:
        """Return a text's numbers, a float32 ``numpy`` array [texts, size] (or with a row for every token).

        Args:
            text: a text, or several.
            normalize: make vectors of length 1.
            prompt_name: which of the model's prompts to put before the text.
            truncate: cut long texts.
            truncation_direction: "left" or "right".
            dimensions: how many numbers to return, of a model that can be cut.
            encoding_format: "float" or "base64", for servers that offer both.
            model: a model's id or a server's address; the client's by default.
        """
        top = given(
            normalize=normalize,
            prompt_name=prompt_name,
            truncate=truncate,
            truncation_direction=truncation_direction,
            dimensions=dimensions,
            encoding_format=encoding_format,
        )

        def read(found: Any) -> Any:
            import numpy as np

            return np.array(found, dtype="float32")

        return self._task("feature-extraction", model, text, {}, read, **top)

    def sentence_similarity(self, sentence: str, other_sentences: list[str], *, model: str | None = None) -> Any:
        """Return how close each of ``other_sentences`` is to ``sentence``, a list of numbers."""
        inputs = {"source_sentence": sentence, "sentences": other_sentences}
        return self._task("sentence-similarity", model, inputs, {}, list)

    def text_classification(
        self, text: str, *, model: str | None = None, top_k: int | None = None, function_to_apply: str | None = None
    ) -> Any:
        """Return what a text may be, the likeliest first: a list of ``TextClassificationOutputElement``."""
        parameters = given(function_to_apply=function_to_apply, top_k=top_k)
        parse = answers.TextClassificationOutputElement.parse_obj_as_list
        return self._task("text-classification", model, text, parameters, lambda found: parse(_flat(found)))

    def token_classification(
        self,
        text: str,
        *,
        model: str | None = None,
        aggregation_strategy: str | None = None,
        ignore_labels: list[str] | None = None,
        stride: int | None = None,
    ) -> Any:
        """Return the names in a text: a list of ``TokenClassificationOutputElement``."""
        parameters = given(aggregation_strategy=aggregation_strategy, ignore_labels=ignore_labels, stride=stride)
        read = answers.TokenClassificationOutputElement.parse_obj_as_list
        return self._task("token-classification", model, text, parameters, read)

    def zero_shot_classification(
        self,
        text: str,
        candidate_labels: list[str],
        *,
        multi_label: bool | None = False,
        hypothesis_template: str | None = None,
        model: str | None = None,
    ) -> Any:
        """Return how well each label fits a text: a list of ``ZeroShotClassificationOutputElement``."""

        def read(found: Any) -> Any:
            if isinstance(found, dict) and "labels" in found:  # as older servers answer
                pairs = zip(found["labels"], found["scores"], strict=True)
                found = [{"label": label, "score": score} for label, score in pairs]
            return answers.ZeroShotClassificationOutputElement.parse_obj_as_list(found)

        parameters = given(
            candidate_labels=candidate_labels, multi_label=multi_label, hypothesis_template=hypothesis_template
        )
        return self._task("zero-shot-classification", model, text, parameters, read)

    def fill_mask(
        self, text: str, *, model: str | None = None, targets: list[str] | None = None, top_k: int | None = None
    ) -> Any:
        """Return what may stand at the mask in a text: a list of ``FillMaskOutputElement``."""
        read = answers.FillMaskOutputElement.parse_obj_as_list
        return self._task("fill-mask", model, text, given(targets=targets, top_k=top_k), read)

    def question_answering(
        self,
        question: str,
        context: str,
        *,
        model: str | None = None,
        align_to_words: bool | None = None,
        doc_stride: int | None = None,
        handle_impossible_answer: bool | None = None,
        max_answer_len: int | None = None,
        max_question_len: int | None = None,
        max_seq_len: int | None = None,
        top_k: int | None = None,
    ) -> Any:
        """Return the answer that stands in a text, a ``QuestionAnsweringOutputElement``; several with ``top_k``."""
        parameters = given(
            align_to_words=align_to_words,
            doc_stride=doc_stride,
            handle_impossible_answer=handle_impossible_answer,
            max_answer_len=max_answer_len,
            max_question_len=max_question_len,
            max_seq_len=max_seq_len,
            top_k=top_k,
        )
        inputs = {"question": question, "context": context}
        read = answers.QuestionAnsweringOutputElement.parse_obj
        return self._task("question-answering", model, inputs, parameters, read)

    def table_question_answering(
        self,
        table: dict[str, Any],
        query: str,
        *,
        model: str | None = None,
        padding: str | None = None,
        sequential: bool | None = None,
        truncation: bool | None = None,
    ) -> Any:
        """Return the answer that a table (column → cells) gives, a ``TableQuestionAnsweringOutputElement``."""
        parameters = given(padding=padding, sequential=sequential, truncation=truncation)
        read = answers.TableQuestionAnsweringOutputElement.parse_obj_as_instance
        inputs = {"query": query, "table": table}
        return self._task("table-question-answering", model, inputs, parameters, read)

    def tabular_classification(self, table: dict[str, Any], *, model: str | None = None) -> Any:
        """Return a label for every row of a table (column → cells)."""
        return self._ask(Call("tabular-classification", model, body={"table": table}))

    def tabular_regression(self, table: dict[str, Any], *, model: str | None = None) -> Any:
        """Return a number for every row of a table (column → cells)."""
        return self._ask(Call("tabular-regression", model, body={"table": table}))

    def summarization(
        self,
        text: str,
        *,
        model: str | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        generate_parameters: dict[str, Any] | None = None,
        truncation: str | None = None,
    ) -> Any:
        """Return a text made short, a ``SummarizationOutput``."""
        parameters = given(
            clean_up_tokenization_spaces=clean_up_tokenization_spaces,
            generate_parameters=generate_parameters,
            truncation=truncation,
        )
        return self._task("summarization", model, text, parameters, answers.SummarizationOutput.parse_obj_as_instance)

    def translation(
        self,
        text: str,
        *,
        model: str | None = None,
        src_lang: str | None = None,
        tgt_lang: str | None = None,
        clean_up_tokenization_spaces: bool | None = None,
        truncation: str | None = None,
        generate_parameters: dict[str, Any] | None = None,
    ) -> Any:
        """Return a text in another language, a ``TranslationOutput``.

        Raises:
            ValueError: only one of ``src_lang`` and ``tgt_lang`` is given.
        """
        if (src_lang is None) != (tgt_lang is None):
            raise ValueError("give both languages, src_lang and tgt_lang, or neither for a model of one pair")
        parameters = given(
            src_lang=src_lang,
            tgt_lang=tgt_lang,
            clean_up_tokenization_spaces=clean_up_tokenization_spaces,
            truncation=truncation,
            generate_parameters=generate_parameters,
        )
        return self._task("translation", model, text, parameters, answers.TranslationOutput.parse_obj_as_instance)


def _flat(found: Any) -> Any:
    """Return the answers for the one text that was sent; servers put them into a list of lists."""
    return found[0] if isinstance(found, list) and found and isinstance(found[0], list) else found
