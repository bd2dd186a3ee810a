"""The words that languages count with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Numerals:
    """``small`` words add up; ``within`` and ``scales`` multiply what stands before them."""

    small: Mapping[str, int]
    within: Mapping[str, int]
    """Factors inside a scale: "two hundred" thousand."""
    scales: Mapping[str, int]
    joiners: frozenset[str] = frozenset()
    """Stand between two parts of a number and count nothing."""
    articles: frozenset[str] = frozenset()
    """Mean 1 before a factor or scale: "a hundred"."""
    points: frozenset[str] = frozenset()
    """Stand before decimals: "three point five"."""


def _counted(words: str, first: int = 0, step: int = 1) -> dict[str, int]:
    """Words in the order of their values; "|" parts those that mean the same."""
    return {
        word: first + step * place for place, same in enumerate(words.split()) for word in same.split("|")
    }


_ENGLISH = Numerals(
    small={
        **_counted("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"),
        **_counted("fifteen sixteen seventeen eighteen nineteen", 15),
        **_counted("twenty thirty forty|fourty fifty sixty seventy eighty ninety", 20, 10),
    },
    within={"hundred": 100},
    scales={"thousand": 10**3, "million": 10**6, "billion": 10**9},
    joiners=frozenset({"and"}),
    articles=frozenset({"a"}),
    points=frozenset({"point"}),
)
_SPANISH = Numerals(
    small={
        **_counted(
            "cero uno|un|una dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce"
        ),
        **_counted(
            "quince dieciséis diecisiete dieciocho diecinueve veinte veintiuno|veintiún|veintiuna", 15
        ),
        **_counted("veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete veintiocho", 22),
        **_counted("veintinueve treinta", 29),
        **_counted("cuarenta cincuenta sesenta setenta ochenta noventa cien|ciento", 40, 10),
        **_counted("doscientos|doscientas trescientos|trescientas cuatrocientos|cuatrocientas", 200, 100),
        **_counted("quinientos|quinientas seiscientos|seiscientas setecientos|setecientas", 500, 100),
        **_counted("ochocientos|ochocientas novecientos|novecientas", 800, 100),
    },
    within={},
    scales={"mil": 10**3, "millón": 10**6, "millones": 10**6},
    joiners=frozenset({"y"}),
    points=frozenset({"coma", "punto"}),
)
_PORTUGUESE = Numerals(
    small={
        **_counted("zero um|uma dois|duas três quatro cinco seis sete oito nove dez onze doze treze"),
        **_counted("catorze|quatorze quinze dezesseis|dezasseis dezessete|dezassete dezoito", 14),
        **_counted("dezenove|dezanove vinte", 19),
        **_counted("trinta quarenta cinquenta sessenta setenta oitenta noventa cem|cento", 30, 10),
        **_counted("duzentos|duzentas trezentos|trezentas quatrocentos|quatrocentas", 200, 100),
        **_counted("quinhentos|quinhentas seiscentos|seiscentas setecentos|setecentas", 500, 100),
        **_counted("oitocentos|oitocentas novecentos|novecentas", 800, 100),
    },
    within={},
    scales={"mil": 10**3, "milhão": 10**6, "milhões": 10**6},
    joiners=frozenset({"e"}),
    points=frozenset({"vírgula", "ponto"}),
)
_CHINESE = Numerals(
    small=_counted("零|〇 一 二|两|兩 三 四 五 六 七 八 九"),
    within={"十": 10, "百": 100, "千": 1000},
    scales={"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8},
    joiners=frozenset({"零", "〇"}),
    points=frozenset({"点", "點"}),
)

LANGUAGES: Mapping[str, Numerals] = {
    "en": _ENGLISH,
    "es": _SPANISH,
    "pt": _PORTUGUESE,
    "zh": _CHINESE,
    "ja": _CHINESE,
}
