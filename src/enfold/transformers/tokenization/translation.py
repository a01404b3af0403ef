"""Tokenizers of translation models, which mark texts with their language: mBART, mBART-50, NLLB."""

from __future__ import annotations

from typing import Any, ClassVar

from enfold.errors import EnfoldError, nearest
from enfold.tokenizers import Tokenizer
from enfold.transformers.tokenization.batch import BatchEncoding
from enfold.transformers.tokenization.unigram import XLMRobertaTokenizer

__all__ = [
    "Languages",
    "MBart50Tokenizer",
    "MBartTokenizer",
    "NllbTokenizer",
    "PLBartTokenizer",
    "SeamlessM4TTokenizer",
    "UnknownLanguage",
]

_MBART = (
    "ar_AR cs_CZ de_DE en_XX es_XX et_EE fi_FI fr_XX gu_IN hi_IN it_IT ja_XX kk_KZ ko_KR lt_LT lv_LV my_MM ne_NP nl_XX "
    "ro_RO ru_RU si_LK tr_TR vi_VN zh_CN"
)
_MBART50 = (
    "af_ZA az_AZ bn_IN fa_IR he_IL hr_HR id_ID ka_GE km_KH mk_MK ml_IN mn_MN mr_IN pl_PL ps_AF pt_XX sv_SE sw_KE ta_IN "
    "te_IN th_TH tl_XX uk_UA ur_PK xh_ZA gl_ES sl_SI"
)
_NLLB = (
    "ace_Arab ace_Latn acm_Arab acq_Arab aeb_Arab afr_Latn ajp_Arab aka_Latn amh_Ethi apc_Arab arb_Arab ars_Arab "
    "ary_Arab arz_Arab asm_Beng ast_Latn awa_Deva ayr_Latn azb_Arab azj_Latn bak_Cyrl bam_Latn ban_Latn bel_Cyrl "
    "bem_Latn ben_Beng bho_Deva bjn_Arab bjn_Latn bod_Tibt bos_Latn bug_Latn bul_Cyrl cat_Latn ceb_Latn ces_Latn "
    "cjk_Latn ckb_Arab crh_Latn cym_Latn dan_Latn deu_Latn dik_Latn dyu_Latn dzo_Tibt ell_Grek eng_Latn epo_Latn "
    "est_Latn eus_Latn ewe_Latn fao_Latn pes_Arab fij_Latn fin_Latn fon_Latn fra_Latn fur_Latn fuv_Latn gla_Latn "
    "gle_Latn glg_Latn grn_Latn guj_Gujr hat_Latn hau_Latn heb_Hebr hin_Deva hne_Deva hrv_Latn hun_Latn hye_Armn "
    "ibo_Latn ilo_Latn ind_Latn isl_Latn ita_Latn jav_Latn jpn_Jpan kab_Latn kac_Latn kam_Latn kan_Knda kas_Arab "
    "kas_Deva kat_Geor knc_Arab knc_Latn kaz_Cyrl kbp_Latn kea_Latn khm_Khmr kik_Latn kin_Latn kir_Cyrl kmb_Latn "
    "kon_Latn kor_Hang kmr_Latn lao_Laoo lvs_Latn lij_Latn lim_Latn lin_Latn lit_Latn lmo_Latn ltg_Latn ltz_Latn "
    "lua_Latn lug_Latn luo_Latn lus_Latn mag_Deva mai_Deva mal_Mlym mar_Deva min_Latn mkd_Cyrl plt_Latn mlt_Latn "
    "mni_Beng khk_Cyrl mos_Latn mri_Latn zsm_Latn mya_Mymr nld_Latn nno_Latn nob_Latn npi_Deva nso_Latn nus_Latn "
    "nya_Latn oci_Latn gaz_Latn ory_Orya pag_Latn pan_Guru pap_Latn pol_Latn por_Latn prs_Arab pbt_Arab quy_Latn "
    "ron_Latn run_Latn rus_Cyrl sag_Latn san_Deva sat_Beng scn_Latn shn_Mymr sin_Sinh slk_Latn slv_Latn smo_Latn "
    "sna_Latn snd_Arab som_Latn sot_Latn spa_Latn als_Latn srd_Latn srp_Cyrl ssw_Latn sun_Latn swe_Latn swh_Latn "
    "szl_Latn tam_Taml tat_Cyrl tel_Telu tgk_Cyrl tgl_Latn tha_Thai tir_Ethi taq_Latn taq_Tfng tpi_Latn tsn_Latn "
    "tso_Latn tuk_Latn tum_Latn tur_Latn twi_Latn tzm_Tfng uig_Arab ukr_Cyrl umb_Latn urd_Arab uzn_Latn vec_Latn "
    "vie_Latn war_Latn wol_Latn xho_Latn ydd_Hebr yor_Latn yue_Hant zho_Hans zho_Hant zul_Latn"
)


class UnknownLanguage(EnfoldError, ValueError, KeyError):
    """A language that the tokenizer has no token for."""

    def __str__(self) -> str:
        return str(self.args[0])


class Languages:
    """Source and target language for tokenizers: setting ``src_lang`` changes what surrounds texts from then on.

    A subclass has ``languages``, and ``_language_token``, ``_mark`` where the defaults do not do.
    """

    languages: ClassVar[tuple[str, ...]] = ()
    default_language: ClassVar[str] = ""
    # whether the language comes before texts, or after the end token
    language_first: bool = True
    prefix_tokens: list[int] = []
    suffix_tokens: list[int] = []
    _source: str
    tgt_lang: str | None

    def _start_languages(self: Any, settings: dict[str, Any]) -> None:
        self.lang_code_to_id = {code: self.convert_tokens_to_ids(self._language_token(code)) for code in self.languages}
        self.id_to_lang_code = {id: code for code, id in self.lang_code_to_id.items()}
        self.tgt_lang = settings.get("tgt_lang")
        self._source = settings.get("src_lang") or self.default_language
        self.set_src_lang_special_tokens(self._source)

    def _language_token(self, language: str) -> str:
        return language

    def _language_id(self: Any, language: str) -> int:
        token = self._language_token(language)
        id = self.convert_tokens_to_ids(token)
        if id == self.unk_token_id and token != self.unk_token:
            raise UnknownLanguage(
                f"{type(self).__name__} has no language {language!r}{nearest(language, self.lang_code_to_id)}"
            )
        return id

    @property
    def src_lang(self) -> str:
        """The language of source texts; setting it changes what surrounds them."""
        return self._source

    @src_lang.setter
    def src_lang(self, language: str) -> None:
        self.set_src_lang_special_tokens(language)
        self._source = language

    def set_src_lang_special_tokens(self: Any, src_lang: str) -> None:
        """Surround texts as source texts in a language."""
        self._mark(src_lang)

    def set_tgt_lang_special_tokens(self: Any, lang: str) -> None:
        """Surround texts as target texts in a language."""
        self._mark(lang)

    def _mark(self: Any, language: str) -> None:
        id = self._language_id(language)
        self.cur_lang_code = id
        end = [self.eos_token_id]
        self._enclose(*(([id], end) if self.language_first else ([], [*end, id])))

    def _enclose(self: Any, prefix: list[int], suffix: list[int]) -> None:
        self.prefix_tokens, self.suffix_tokens = prefix, suffix
        before, after = (
            " ".join(f"{token}:0" for token in self.convert_ids_to_tokens(ids))
            for ids in (self.prefix_tokens, self.suffix_tokens)
        )
        self._surround(f"{before} $A:0 {after}", f"{before} $A:0 $B:0 {after}")

    def _switch_to_input_mode(self) -> None:
        self.set_src_lang_special_tokens(self._source)

    def _switch_to_target_mode(self) -> None:
        if self.tgt_lang is None:
            self.tgt_lang = self._source
        self.set_tgt_lang_special_tokens(self.tgt_lang)

    def _build_translation_inputs(
        self: Any,
        raw_inputs: Any,
        return_tensors: str | None = None,
        src_lang: Any = None,
        tgt_lang: Any = None,
        **extra: Any,
    ) -> BatchEncoding:
        if src_lang is None or tgt_lang is None:
            raise ValueError("this model translates between languages that are named: give src_lang and tgt_lang")
        self.src_lang = src_lang
        inputs = self(raw_inputs, add_special_tokens=True, return_tensors=return_tensors, **extra)
        inputs["forced_bos_token_id"] = self._language_id(tgt_lang)
        return inputs

    def prepare_seq2seq_batch(  # type: ignore[override,unused-ignore]
        self: Any,
        src_texts: list[str],
        src_lang: str | None = None,
        tgt_texts: list[str] | None = None,
        tgt_lang: str | None = None,
        **kwargs: Any,
    ) -> BatchEncoding:
        """Set both languages and return source texts with, as ``labels``, target texts."""
        if src_lang is not None:
            self.src_lang = src_lang
        if tgt_lang is not None:
            self.tgt_lang = tgt_lang
        return super().prepare_seq2seq_batch(src_texts, tgt_texts, **kwargs)  # type: ignore[misc]


class _FairseqTokenizer(Languages, XLMRobertaTokenizer):  # type: ignore[misc]
    """What is built from a SentencePiece model with fairseq's ids and languages after the pieces."""

    single = pair = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = kwargs.pop("additional_special_tokens", None) or kwargs.pop("extra_special_tokens", None) or []
        others = [token for token in given if str(token) not in self.languages]
        super().__init__(*args, additional_special_tokens=[*self.languages, *others], **kwargs)

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        super()._adapt(settings, built)
        self._start_languages(settings)


class MBartTokenizer(_FairseqTokenizer):
    """mBART's Unigram: ``A </s> LANGUAGE``.

    Args:
        src_lang: language of source texts, "en_XX" by default.
        tgt_lang: language of target texts.
        kwargs: as for ``SentencePieceTokenizer``.

    Raises:
        ValueError: a language without a token.
    """

    languages = tuple(_MBART.split())
    default_language = "en_XX"
    language_first = False
    tail = (*languages, "<mask>")


class MBart50Tokenizer(_FairseqTokenizer):
    """mBART-50's Unigram: ``LANGUAGE A </s>``; arguments as for ``MBartTokenizer``."""

    languages = (*MBartTokenizer.languages, *_MBART50.split())
    default_language = "en_XX"
    tail = (*languages, "<mask>")
    default_tokens = {key: value for key, value in XLMRobertaTokenizer.default_tokens.items() if key != "bos_token"}


class NllbTokenizer(_FairseqTokenizer):
    """NLLB's SentencePiece: ``LANGUAGE A </s>``.

    Args:
        src_lang: language and script of source texts, "eng_Latn" by default.
        tgt_lang: language and script of target texts.
        legacy_behaviour: ``A </s> LANGUAGE``, as it was at first.
        kwargs: as for ``SentencePieceTokenizer``.

    Raises:
        ValueError: a language without a token.
    """

    languages = tuple(_NLLB.split())
    default_language = "eng_Latn"
    tail = ()

    def _adapt(self, settings: dict[str, Any], built: bool) -> None:
        self.legacy_behaviour = bool(settings.get("legacy_behaviour", False))
        self.language_first = not self.legacy_behaviour
        super()._adapt(settings, built)


class PLBartTokenizer(_FairseqTokenizer):
    """PLBart's SentencePiece: ``A </s> LANGUAGE``.

    Args:
        language_codes: "base" (Java, Python, English) or "multi" (and JavaScript, PHP, Ruby, Go).
        kwargs: as for ``MBartTokenizer``; languages are "java" or "__java__".
    """

    languages = ("__java__", "__python__", "__en_XX__")
    default_language = "__en_XX__"
    language_first = False

    def __init__(self, *args: Any, language_codes: str = "base", **kwargs: Any) -> None:
        if language_codes == "multi":
            more = ("__javascript__", "__php__", "__ruby__", "__go__")
            self.__dict__["languages"] = (*type(self).languages, *more)
        super().__init__(*args, language_codes=language_codes, **kwargs)

    def _build(self, vocab: Any = None, *args: Any, **settings: Any) -> Tokenizer:
        self.__dict__["tail"] = (*self.languages, "<mask>")
        return super()._build(vocab, *args, **settings)

    def _language_token(self, language: str) -> str:
        return language if language.startswith("__") else f"__{language}__"


class SeamlessM4TTokenizer(_FairseqTokenizer):
    """SeamlessM4T's SentencePiece: source texts are ``LANGUAGE A </s>``, target texts ``</s> LANGUAGE A </s>``.

    Languages are "eng" or "__eng__"; a checkpoint's special tokens say which there are.

    Args:
        src_lang: language of source texts, "eng" by default.
        tgt_lang: language of target texts, "fra" by default.
        kwargs: as for ``SentencePieceTokenizer``.
    """

    vocab_files_names = {"vocab_file": "sentencepiece.bpe.model", "tokenizer_file": "tokenizer.json"}
    default_tokens = {key: value for key, value in XLMRobertaTokenizer.default_tokens.items() if key != "mask_token"}
    default_language = "__eng__"
    head = ("<pad>", "<unk>", "<s>", "</s>")
    tail = ()
    unk_id = 1

    def __init__(self, *args: Any, src_lang: str = "eng", tgt_lang: str = "fra", **kwargs: Any) -> None:
        super().__init__(
            *args, src_lang=self._language_token(src_lang), tgt_lang=self._language_token(tgt_lang), **kwargs
        )

    def _language_token(self, language: str) -> str:
        return language if "__" in language else f"__{language}__"

    def _language_id(self, language: str) -> int:
        # the vocabulary of a checkpoint that lacks a language has the unknown token for it
        return self.convert_tokens_to_ids(self._language_token(language))

    def set_tgt_lang_special_tokens(self, lang: str) -> None:
        """Surround texts as target texts in a language."""
        self.cur_lang_code = self._language_id(lang)
        self._enclose([self.eos_token_id, self.cur_lang_code], [self.eos_token_id])

    def __call__(
        self, text: Any = None, *args: Any, src_lang: str | None = None, tgt_lang: str | None = None, **kwargs: Any
    ) -> BatchEncoding:
        """Turn texts into model inputs; arguments as for every tokenizer, and languages to use from now on."""
        if src_lang is not None:
            self.src_lang = self._language_token(src_lang)
        if tgt_lang is not None:
            self.tgt_lang = self._language_token(tgt_lang)
        return super().__call__(text, *args, **kwargs)
