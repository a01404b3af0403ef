"""Tasks on images and sounds, for both clients."""

from __future__ import annotations

import base64
import json
from typing import Any

from enfold.hub.inference import answers
from enfold.hub.inference.calls import Call, as_bytes, as_image, encoded, given, image_of

__all__ = ["MediaTasks"]


class MediaTasks:
    """Calls about images and sounds, each given as bytes, a binary file, a path, an address, or a Pillow image.

    What they say they return, the async client's calls return when they are awaited.
    """

    def _ask(self, call: Call) -> Any:
        raise NotImplementedError

    def _media(self, task: str, model: str | None, media: Any, parameters: dict[str, Any], read: Any) -> Any:
        """Send an image or a sound: alone as it is, with parameters as base64."""
        if parameters:
            body = {"inputs": encoded(media), "parameters": parameters}
            return self._ask(Call(task, model, body=body, read=read))
        return self._ask(Call(task, model, content=as_bytes(media)[0], read=read))

    def audio_classification(
        self, audio: Any, *, model: str | None = None, top_k: int | None = None, function_to_apply: str | None = None
    ) -> Any:
        """Return what may be heard: a list of ``AudioClassificationOutputElement``."""
        parameters = given(function_to_apply=function_to_apply, top_k=top_k)
        read = answers.AudioClassificationOutputElement.parse_obj_as_list
        return self._media("audio-classification", model, audio, parameters, read)

    def audio_to_audio(self, audio: Any, *, model: str | None = None) -> Any:
        """Return sounds made from a sound: a list of ``AudioToAudioOutputElement`` with bytes in ``blob``."""

        def read(data: bytes) -> Any:
            found = answers.AudioToAudioOutputElement.parse_obj_as_list(data)
            for item in found:
                item.blob = base64.b64decode(item.blob)
            return found

        return self._media("audio-to-audio", model, audio, {}, read)

    def automatic_speech_recognition(
        self, audio: Any, *, model: str | None = None, extra_body: dict[str, Any] | None = None
    ) -> Any:
        """Return what was said, an ``AutomaticSpeechRecognitionOutput``; ``extra_body`` holds further parameters."""
        read = answers.AutomaticSpeechRecognitionOutput.parse_obj_as_instance
        return self._media("automatic-speech-recognition", model, audio, dict(extra_body or {}), read)

    def image_classification(
        self, image: Any, *, model: str | None = None, function_to_apply: str | None = None, top_k: int | None = None
    ) -> Any:
        """Return what an image may show: a list of ``ImageClassificationOutputElement``."""
        parameters = given(function_to_apply=function_to_apply, top_k=top_k)
        read = answers.ImageClassificationOutputElement.parse_obj_as_list
        return self._media("image-classification", model, image, parameters, read)

    def image_segmentation(
        self,
        image: Any,
        *,
        model: str | None = None,
        mask_threshold: float | None = None,
        overlap_mask_area_threshold: float | None = None,
        subtask: str | None = None,
        threshold: float | None = None,
    ) -> Any:
        """Return the things in an image: a list of ``ImageSegmentationOutputElement`` with images in ``mask``."""

        def read(data: bytes) -> Any:
            found = answers.ImageSegmentationOutputElement.parse_obj_as_list(data)
            for item in found:
                item.mask = image_of(item.mask)
            return found

        parameters = given(
            mask_threshold=mask_threshold,
            overlap_mask_area_threshold=overlap_mask_area_threshold,
            subtask=subtask,
            threshold=threshold,
        )
        return self._media("image-segmentation", model, image, parameters, read)

    def object_detection(self, image: Any, *, model: str | None = None, threshold: float | None = None) -> Any:
        """Return what is where in an image: a list of ``ObjectDetectionOutputElement``."""
        read = answers.ObjectDetectionOutputElement.parse_obj_as_list
        return self._media("object-detection", model, image, given(threshold=threshold), read)

    def zero_shot_image_classification(
        self,
        image: Any,
        candidate_labels: list[str],
        *,
        model: str | None = None,
        hypothesis_template: str | None = None,
    ) -> Any:
        """Return how well each label fits an image: a list of ``ZeroShotImageClassificationOutputElement``.

        Raises:
            ValueError: there are fewer than two labels.
        """
        if len(candidate_labels) < 2:
            raise ValueError("give at least two labels to choose from")
        parameters = given(candidate_labels=candidate_labels, hypothesis_template=hypothesis_template)
        read = answers.ZeroShotImageClassificationOutputElement.parse_obj_as_list
        return self._media("zero-shot-image-classification", model, image, parameters, read)

    def image_to_text(self, image: Any, *, model: str | None = None) -> Any:
        """Return what an image shows, an ``ImageToTextOutput``."""
        return self._media("image-to-text", model, image, {}, answers.ImageToTextOutput.parse_obj_as_instance)

    def visual_question_answering(
        self, image: Any, question: str, *, model: str | None = None, top_k: int | None = None
    ) -> Any:
        """Return answers about an image: a list of ``VisualQuestionAnsweringOutputElement``."""
        read = answers.VisualQuestionAnsweringOutputElement.parse_obj_as_list
        return self._about("visual-question-answering", model, image, question, given(top_k=top_k), read)

    def document_question_answering(
        self,
        image: Any,
        question: str,
        *,
        model: str | None = None,
        doc_stride: int | None = None,
        handle_impossible_answer: bool | None = None,
        lang: str | None = None,
        max_answer_len: int | None = None,
        max_question_len: int | None = None,
        max_seq_len: int | None = None,
        top_k: int | None = None,
        word_boxes: list[list[float] | str] | None = None,
    ) -> Any:
        """Return answers from the image of a document: a list of ``DocumentQuestionAnsweringOutputElement``."""
        parameters = given(
            doc_stride=doc_stride,
            handle_impossible_answer=handle_impossible_answer,
            lang=lang,
            max_answer_len=max_answer_len,
            max_question_len=max_question_len,
            max_seq_len=max_seq_len,
            top_k=top_k,
            word_boxes=word_boxes,
        )
        read = answers.DocumentQuestionAnsweringOutputElement.parse_obj_as_list
        return self._about("document-question-answering", model, image, question, parameters, read)

    def _about(
        self, task: str, model: str | None, image: Any, question: str, parameters: dict[str, Any], read: Any
    ) -> Any:
        body: dict[str, Any] = {"inputs": {"question": question, "image": encoded(image)}}
        return self._ask(Call(task, model, body={**body, **given(parameters=parameters or None)}, read=read))

    # ------------------------------------------------------------------ made

    def text_to_image(
        self,
        prompt: str,
        *,
        negative_prompt: str | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        model: str | None = None,
        scheduler: str | None = None,
        seed: int | None = None,
        extra_body: dict[str, Any] | None = None,
    ) -> Any:
        """Return a Pillow image made from words; the arguments are a diffusion pipeline's."""
        parameters = given(
            negative_prompt=negative_prompt,
            height=height,
            width=width,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            scheduler=scheduler,
            seed=seed,
        )
        return self._make("text-to-image", model, prompt, {**parameters, **(extra_body or {})}, as_image, "image/*")

    def image_to_image(
        self,
        image: Any,
        prompt: str | None = None,
        *,
        negative_prompt: str | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        model: str | None = None,
        target_size: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Return a Pillow image made from an image."""
        parameters = given(
            prompt=prompt,
            negative_prompt=negative_prompt,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            target_size=target_size,
            **kwargs,
        )
        return self._media("image-to-image", model, image, parameters, as_image)

    def image_to_video(
        self,
        image: Any,
        *,
        model: str | None = None,
        prompt: str | None = None,
        negative_prompt: str | None = None,
        num_frames: float | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        seed: int | None = None,
        target_size: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Return the bytes of a video made from an image."""
        parameters = given(
            prompt=prompt,
            negative_prompt=negative_prompt,
            num_frames=num_frames,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            seed=seed,
            target_size=target_size,
            **kwargs,
        )
        return self._media("image-to-video", model, image, parameters, bytes)

    def text_to_video(
        self,
        prompt: str,
        *,
        model: str | None = None,
        guidance_scale: float | None = None,
        negative_prompt: list[str] | None = None,
        num_frames: float | None = None,
        num_inference_steps: int | None = None,
        seed: int | None = None,
        extra_body: dict[str, Any] | None = None,
    ) -> Any:
        """Return the bytes of a video made from words."""
        parameters = given(
            guidance_scale=guidance_scale,
            negative_prompt=negative_prompt,
            num_frames=num_frames,
            num_inference_steps=num_inference_steps,
            seed=seed,
        )
        return self._make("text-to-video", model, prompt, {**parameters, **(extra_body or {})}, bytes, "video/*")

    def text_to_speech(
        self,
        text: str,
        *,
        model: str | None = None,
        do_sample: bool | None = None,
        early_stopping: bool | str | None = None,
        epsilon_cutoff: float | None = None,
        eta_cutoff: float | None = None,
        max_length: int | None = None,
        max_new_tokens: int | None = None,
        min_length: int | None = None,
        min_new_tokens: int | None = None,
        num_beam_groups: int | None = None,
        num_beams: int | None = None,
        penalty_alpha: float | None = None,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        typical_p: float | None = None,
        use_cache: bool | None = None,
        extra_body: dict[str, Any] | None = None,
    ) -> Any:
        """Return the bytes of a text that is read aloud; the arguments are those of ``generate``."""
        parameters = given(
            do_sample=do_sample,
            early_stopping=early_stopping,
            epsilon_cutoff=epsilon_cutoff,
            eta_cutoff=eta_cutoff,
            max_length=max_length,
            max_new_tokens=max_new_tokens,
            min_length=min_length,
            min_new_tokens=min_new_tokens,
            num_beam_groups=num_beam_groups,
            num_beams=num_beams,
            penalty_alpha=penalty_alpha,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            typical_p=typical_p,
            use_cache=use_cache,
        )
        return self._make("text-to-speech", model, text, {**parameters, **(extra_body or {})}, _sound, "audio/*")

    def _make(self, task: str, model: str | None, text: str, parameters: dict[str, Any], read: Any, accept: str) -> Any:
        body = {"inputs": text, **given(parameters=parameters or None)}
        return self._ask(Call(task, model, body=body, read=read, accept=accept))


def _sound(data: bytes) -> bytes:
    """Return the bytes of a sound, which some servers send as base64 in JSON."""
    if data[:1] == b"{":
        return base64.b64decode(json.loads(data)["audio"])
    return data
