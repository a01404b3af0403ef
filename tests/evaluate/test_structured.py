"""Metrics whose examples are records, sequences, images or programs, from their definitions."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from enfold.evaluate import EvaluationError, load


def question(name: str, *answers: str) -> dict[str, Any]:
    return {"id": name, "answers": {"text": list(answers), "answer_start": [0] * len(answers)}}


def test_squad_matches_by_id_and_takes_the_best_answer() -> None:
    texts = {"b": "the Eiffel tower!", "a": "in 1976 or so", "x": "nothing"}
    said = [{"id": name, "prediction_text": text} for name, text in texts.items()]
    right = [question("a", "1976", "in 1976"), question("b", "Eiffel Tower"), question("c", "lost")]
    got = load("squad").compute(said, right)
    assert got == {"exact_match": pytest.approx(100 / 3), "f1": pytest.approx(100 * (2 * 0.5 / 1.5 + 1) / 3)}
    with pytest.raises(EvaluationError, match="squad_v2"):
        load("squad").compute(said[:1], [question("b")])


def test_squad_v2_counts_questions_without_answer_and_finds_thresholds() -> None:
    said = [
        {"id": "a", "prediction_text": "cat", "no_answer_probability": 0.1},
        {"id": "b", "prediction_text": "", "no_answer_probability": 0.9},
        {"id": "c", "prediction_text": "dog", "no_answer_probability": 0.6},
    ]
    right = [question("a", "the cat"), question("b"), question("c")]
    got = load("squad_v2").compute(said, right)
    assert got == {
        "exact": pytest.approx(200 / 3), "f1": pytest.approx(200 / 3), "total": 3,
        "HasAns_exact": 100.0, "HasAns_f1": 100.0, "HasAns_total": 1,
        "NoAns_exact": 50.0, "NoAns_f1": 50.0, "NoAns_total": 2,
        "best_exact": 100.0, "best_exact_thresh": 0.1, "best_f1": 100.0, "best_f1_thresh": 0.1,
    }  # fmt: skip
    assert load("squad_v2").compute(said, right, no_answer_threshold=0.5)["exact"] == 100.0


def test_glue_and_super_glue_score_each_data_set_its_way() -> None:
    said, right = [0, 1, 1, 0], [0, 1, 0, 0]
    assert load("glue", "sst2").compute(said, right) == {"accuracy": 0.75}
    assert load("glue", "qqp").compute(said, right) == {"accuracy": 0.75, "f1": pytest.approx(2 / 3)}
    assert load("glue", "cola").compute(said, right) == load("matthews_correlation").compute(said, right)
    near = load("glue", "stsb").compute([0.0, 1.0, 2.5], [0.5, 1.0, 2.0])
    assert near["spearmanr"] == pytest.approx(1.0) and near["pearson"] == pytest.approx(
        np.corrcoef([0, 1, 2.5], [0.5, 1, 2])[0, 1]
    )
    assert load("super_glue", "cb").compute([0, 1, 2], [0, 1, 1]) == {
        "accuracy": pytest.approx(2 / 3),
        "f1": pytest.approx(5 / 9),
    }
    with pytest.raises(EvaluationError, match="did you mean 'mrpc'"):
        load("glue", "mrpcc")
    rows = [(0, 0, 1, 1), (0, 0, 0, 1), (0, 1, 1, 1)]  # paragraph, question, said, right
    said = [
        {"idx": {"paragraph": p, "question": q, "answer": i}, "prediction": a} for i, (p, q, a, _) in enumerate(rows)
    ]
    got = load("super_glue", "multirc").compute(said, [row[3] for row in rows])
    # the class that is nowhere right counts in the mean over classes, as in scikit-learn
    assert got == {"exact_match": 0.5, "f1_m": pytest.approx((1 / 3 + 1) / 2), "f1_a": pytest.approx(0.8)}
    index = {"passage": 0, "query": 0}
    got = load("super_glue", "record").compute(
        [{"idx": index, "prediction_text": "the cat"}], [{"idx": index, "answers": ["dog", "Cat"]}]
    )
    assert got == {"exact_match": 1.0, "f1": 1.0}
    assert load("xnli").compute([0, 1], [0, 2]) == {"accuracy": 0.5}


@pytest.mark.parametrize("ignored", [None, 3])
@pytest.mark.parametrize("reduced", [False, True])
def test_mean_iou_is_its_definition(ignored: int | None, reduced: bool) -> None:
    rng = np.random.default_rng(0)
    said, right = rng.integers(0, 4, (2, 3, 6, 5))
    options = {"num_labels": 4, "ignore_index": 255 if reduced else ignored, "reduce_labels": reduced}
    got = load("mean_iou").compute(said, right, **options)
    truth = np.where(right == 0, 255, right - 1) if reduced else right
    counted = truth != options["ignore_index"]
    scores, recalls = [], []
    for label in range(4):
        mine, theirs = (said == label) & counted, (truth == label) & counted
        scores.append((mine & theirs).sum() / (mine | theirs).sum() if (mine | theirs).any() else np.nan)
        recalls.append((mine & theirs).sum() / theirs.sum() if theirs.any() else np.nan)
    np.testing.assert_allclose(got["per_category_iou"], scores)
    np.testing.assert_allclose(got["per_category_accuracy"], recalls)
    assert got["mean_iou"] == pytest.approx(np.nanmean(scores))
    assert got["overall_accuracy"] == pytest.approx((said == truth)[counted].mean())
    assert load("mean_iou").compute(said.tolist(), right.tolist(), **options)["mean_iou"] == pytest.approx(
        got["mean_iou"]
    )
    with pytest.raises(EvaluationError, match="num_labels"):
        load("mean_iou").compute(said, right)


def test_sari_and_wiki_split_know_their_papers_example() -> None:
    source = ["About 95 species are currently accepted ."]
    said = ["About 95 you now get in ."]
    right = [
        [
            "About 95 species are currently known .",
            "About 95 species are now accepted .",
            "95 species are now accepted .",
        ]
    ]
    assert load("sari").compute(sources=source, predictions=said, references=right)["sari"] == pytest.approx(
        26.953601953601954
    )
    got = load("wiki_split").compute(sources=source, predictions=said, references=right)
    assert list(got) == ["sari", "sacrebleu", "exact"] and got["exact"] == 0.0


def test_exact_match_ignores_what_it_is_told_to() -> None:
    said, right = ["the cat?", "theater", "YELLING", "agent007"], ["cat", "theater", "yelling", "agent"]
    metric = load("exact_match")
    assert metric.compute(said, right)["exact_match"] == 0.25
    options = {"regexes_to_ignore": ["the "], "ignore_case": True, "ignore_punctuation": True}
    assert metric.compute(said, right, **options)["exact_match"] == 0.75
    got = metric.compute(said, right, ignore_numbers=True, **options)["exact_match"]
    assert got == 1.0 and type(got) is np.float64


def test_comparisons() -> None:
    exact = load("exact_match", module_type="comparison")
    assert exact.module_type == "comparison"
    assert exact.compute(predictions1=["a", "b"], predictions2=["a", "c"])["exact_match"] == 0.5
    got = load("mcnemar").compute(predictions1=[1, 1, 1, 0], predictions2=[1, 0, 0, 1], references=[1, 1, 1, 1])
    assert got["stat"] == pytest.approx(1 / 3) and got["p"] == pytest.approx(stats.chi2.sf(1 / 3, 1))
    first, second = [-7, 123.45, 43, 4.91, 5], [1337.12, -9.74, 1, 2, 3.21]
    expected = stats.wilcoxon(np.array(first) - np.array(second))
    assert load("wilcoxon").compute(first, second) == {"stat": expected.statistic, "p": expected.pvalue}


def test_measurements() -> None:
    data = ["hello sun, hello moon", "a hello ", "a hello"]
    assert load("word_count").compute(data=data) == {"total_word_count": 6, "unique_words": 3}
    assert load("word_count").compute(data, max_vocab=1) == {"total_word_count": 4, "unique_words": 1}
    assert load("word_length").compute(data=["hello there", "good sun!"])["average_word_length"] == 2.5
    assert load("text_duplicates").compute(data=data)["duplicate_fraction"] == pytest.approx(1 / 3)
    got = load("label_distribution").compute(data=[1, 0, 2, 0, 1, 0])
    assert got["label_distribution"]["labels"] == [1, 0, 2]
    assert got["label_skew"] == pytest.approx(stats.skew([1, 0, 2, 0, 1, 0]))
    named = load("label_distribution").compute(data=["b", "a", "a"])
    assert named["label_skew"] == pytest.approx(stats.skew([0, 1, 1]))


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "1")


def test_programs_run_only_where_it_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ALLOW_CODE_EVAL", raising=False)
    with pytest.raises(EvaluationError, match="HF_ALLOW_CODE_EVAL=1"):
        load("code_eval").compute([["pass"]], ["pass"])


def test_pass_at_k(allowed: None) -> None:
    codes = [["def add(a, b): return a * b", "def add(a, b): return a + b", "def add(a, b) return 0"]]
    rates, results = load("code_eval").compute(codes, ["assert add(2, 3) == 5"], k=[1, 2, 10])
    assert rates == {"pass@1": pytest.approx(1 / 3), "pass@2": pytest.approx(2 / 3)}
    outcomes = [row["result"] for _, row in results[0]]
    assert outcomes[1] == "passed" and all(text.startswith("failed") for text in (outcomes[0], outcomes[2]))


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        ("while True: pass", "timed out"),
        ("import time; time.sleep(60)", "timed out"),
        ("x = 'x' * (1 << 34)", "failed: MemoryError"),
        ("open('big', 'wb').write(bytes(100 << 20))", "failed"),
        ("import os; os._exit(0)", "failed"),
        ("print('passed'); raise SystemExit", "failed: SystemExit"),
        ("import os; [os.write(fd, b'passed') for fd in range(3, 9) if os.path.exists(f'/dev/fd/{fd}')]", "failed"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "failed"),
        ("import sys; sys.stdin.read(); assert len(sys.argv) < 2 and not __import__('os').listdir('.')", "passed"),
    ],
)  # fmt: skip
def test_programs_are_held_in_limits(program: str, outcome: str) -> None:
    from enfold.evaluate.sandbox import check

    assert check(program, timeout=2).startswith(outcome)


def test_what_a_program_starts_ends_with_it(tmp_path: Path) -> None:
    from enfold.evaluate.sandbox import check

    note = tmp_path / "note"
    child = f"import time; time.sleep(1.5); open({str(note)!r}, 'w').close()"
    program = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}])"
    start = time.monotonic()
    assert check(program, timeout=5) == "passed"
    assert time.monotonic() - start < 5
    time.sleep(2)
    assert not note.exists() and os.path.isdir(tmp_path)


def test_squad_v2_takes_equal_probabilities_in_the_order_of_the_predictions() -> None:
    right = [question("a", "cat"), question("b"), question("c", "dog")]
    texts = {"c": "dog", "b": "bird", "a": "mouse"}
    said = [{"id": name, "prediction_text": text, "no_answer_probability": 0.0} for name, text in texts.items()]
    # from one unanswerable question on: + 1 for c, - 1 for b, + 0 for a
    got = load("squad_v2").compute(said, right)
    assert (got["best_exact"], got["best_exact_thresh"]) == (pytest.approx(200 / 3), 0.0)
    assert load("squad_v2").compute(said[::-1], right)["best_exact"] == pytest.approx(100 / 3)


def test_cuad_matches_clauses_by_half_of_their_words() -> None:
    said = [
        {"id": "1__Parties", "prediction_text": ["between The seller: and us", "nobody"]},
        {"id": "1__Date", "prediction_text": ["on the first of May"]},
        {"id": "2__Date", "prediction_text": []},
    ]
    right = [
        # the name of a party may stand within a longer text; a date may not
        question("1__Parties", "The seller:"),
        question("1__Date", "first of May", "January"),
        question("2__Date", "March"),
        question("3__Date", "April"),
    ]
    got = load("cuad").compute([*said, {"id": "4", "prediction_text": []}], right)
    # precision and recall: 1/2 and 1; 1 and 1/2; none and 0
    assert got == {
        "exact_match": 0.0, "f1": pytest.approx(float("nan"), nan_ok=True), "aupr": 0.875,
        "prec_at_80_recall": 0.5, "prec_at_90_recall": 0.5,
    }  # fmt: skip
    got = load("cuad").compute(said[:2], right[:2])
    assert got["f1"] == pytest.approx(200 / 3) and got["aupr"] == pytest.approx(0.5 * (1 + 0.5) / 2)
    with pytest.raises(EvaluationError, match="'x' has an empty clause"):
        load("cuad").compute([{"id": "x", "prediction_text": ["a"]}], [question("x", "")])


@pytest.mark.parametrize(
    ("said", "right", "same"),
    [
        ("1/2", "\\frac{1}{2}", True),
        ("0.5", "\\dfrac12", True),
        ("x = .25", "0.25", True),
        ("\\sqrt3", "\\sqrt{3}", True),
        ("\\left(3,\\! 4\\right)", "(3,4)", True),
        ("45^\\circ", "45^{\\circ}", True),
        ("10\\%", "10", True),
        ("\\$5", "5", True),
        ("12 \\text{ cm}", "12", True),
        ("\\tfrac1{72}", "\\frac{1}{72}", True),
        ("1/3", "0.333", False),
        ("two = 2", "2", False),
        ("01/2", "\\frac{1}{2}", False),
        ("\\frac", "\\frac", True),  # unreadable, but the same
        ("\\frac", " \\frac", False),
        ("1\\text{ m}\\text{ s}", "1", False),
    ],
)
def test_answers_in_latex_are_compared_in_one_spelling(said: str, right: str, same: bool) -> None:
    assert load("competition_math").compute([said], [right]) == {"accuracy": float(same)}


def test_trec_eval_scores_a_ranking() -> None:
    run = {"query": [1] * 4, "q0": ["q"] * 4, "docid": ["a", "b", "c", "d"], "rank": [0, 1, 2, 3]}
    run |= {"score": [1.0, 4.0, 3.0, 2.0], "system": ["mine"] * 4}
    qrel = {"query": [1] * 4, "q0": ["0"] * 4, "docid": ["a", "c", "b", "e"], "rel": [2, 1, 0, 1]}
    got = load("trec_eval").compute(predictions=[run], references=[qrel])
    # ranked by score: b (irrelevant), c (relevant), d (not judged), a (relevant); e was not found
    assert (got["runid"], got["num_ret"], got["num_rel"], got["num_rel_ret"], got["num_q"]) == ("mine", 4, 3, 2, 1)
    assert got["map"] == pytest.approx((1 / 2 + 2 / 4) / 3) == got["gm_map"]
    assert got["Rprec"] == pytest.approx(1 / 3) and got["recip_rank"] == 0.5 and got["P@5"] == pytest.approx(2 / 5)
    assert got["bpref"] == 0.0  # the one irrelevant document stands before both
    gain = 2 / np.log2(2) + 1 / np.log2(4)  # NDCG takes the run as it comes: a, b, c, d
    assert got["NDCG@5"] == pytest.approx(gain / (2 / np.log2(2) + 1 / np.log2(3) + 1 / np.log2(4)))
    with pytest.raises(EvaluationError, match="one run with one set"):
        load("trec_eval").compute(predictions=[run, run], references=[qrel, qrel])


def test_speech_and_indic_benchmarks_score_each_data_set_its_way() -> None:
    said, right = ["it's  sunny ", "paper pen are essential"], ["it is sunny here", "paper and pen are essentials"]
    got = load("xtreme_s", "mls").compute(said, right)
    bare = [" ".join(text.split()) for text in said]
    assert got == {"wer": load("wer").compute(said, right), "cer": load("cer").compute(bare, right)}
    joined = load("xtreme_s", "babel").compute(said, right, wer_kwargs={"concatenate_texts": True})
    assert joined["cer"] == load("cer").compute(bare, right, concatenate_texts=True)
    options = {"smooth_method": "add-k", "lowercase": True}
    bleu = load("xtreme_s", "covost2").compute(said, right, bleu_kwargs=options)
    assert bleu == {"bleu": load("sacrebleu").compute(said, right, **options)["score"]}
    with pytest.raises(TypeError, match="bleu_kwargs: sacrebleu has no option 'lowercased'; did you mean 'lowercase'"):
        load("xtreme_s", "covost2").compute(said, right, bleu_kwargs={"lowercased": True})
    labels = load("xtreme_s", "minds14").compute([0, 1, 1, 0, 0], [0, 1, 0, 0, 1])
    assert list(labels) == ["f1", "accuracy"] and labels["f1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert load("xtreme_s", "fleurs-lang_id").compute([1], [1]) == {"accuracy": 1.0}
    assert load("indic_glue", "md").compute([0, 1], [0, 0]) == {"accuracy": 0.5}
    rng = np.random.default_rng(0)
    first = rng.normal(size=(40, 4))
    second = first + rng.normal(size=(40, 4))
    mine, theirs = first - first.mean(0), second - second.mean(0)
    near = [
        sum(np.dot(a, c) / np.linalg.norm(c) > np.dot(a, b) / np.linalg.norm(b) for c in theirs) < 10
        for a, b in zip(mine, theirs, strict=True)
    ]
    assert load("indic_glue", "cvit-mkb-clsr").compute(first, second) == {"precision@10": np.mean(near)}
