"""Texts that show whether two engines agree: every script, and what splits and merges trip over."""

from __future__ import annotations

_EDGES = [
    "Plain words, 12345 and 3.14159!\n\n\tindented   text  \n",
    "don't I'LL we're THEY'VE 'tis 's 'S 'd'D'm'M \u017f'\u017f don\u2019t I\u2019LL 'llama 'reve 'ſt",
    " " * 300 + "x" + " " * 7 + "\n" + " " * 9 + "\r\n \r \n\t\t\t \u00a0\u2003\u3000 \u2028\u2029\x85\x0b\x0c y ",
    "\n\n\n\r\r\n\n a\n b \n  c\n\n   \n",
    "1 12 123 1234 12345678901234567890 ١٢٣٤٥ ⅷ½²³ 一二三 x1y22z333 1a2b",
    "!!!???...---___***###~~~```<<<>>>&&&|||@@@ $x $1 #tag @me (a) [b] {c} /d\\e -f --g '''h \"i\" a.b.c",
    "e\u0301 vs \u00e9; a\u0308\u0323 a\u0323\u0308 \u212b \u2126 \u1e9b\u0323 \u0344 \u0958 \ufb1d \u0f43 \u2adc",
    "q\u0307\u0323 a\u0315\u0300\u05ae\u0300\u0062 \u0f71\u0f72 \u0041\u030a\u0301 \u1e0a\u0323",
    "\u1112\u1161\u11ab\u1100\u1173\u11af 한글 가\u11a8 \u09c7\u09be \u0b92\u0bd7 \u0dd9\u0dca \u3046\u3099 か\u309a",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466\U0001f3f3\ufe0f\u200d\U0001f308\U0001f44d\U0001f3fd"
    "\U0001f1e9\U0001f1ea 1\ufe0f\u20e3 \u00a9\ufe0f \U0001f9d1\U0001f3ff\u200d\U0001f4bb",
    "\x00\x01\x02\x7f\u200b\u200c\u200d\ufeff\u202e\u2066\u00ad\ue000\uf8ff\ufffd\uffff\U0010ffff\U000e0041",
    "a\u200bb \u200ba\u200b \u200b\u200bc\x00d \x01\x02e \ufeffBOM",
    "नमस्ते दुनिया। ক্ষেত্র தமிழ் മലയാളം ಕನ್ನಡ తెలుగు ગુજરાતી ਪੰਜਾਬੀ සිංහල မြန်မာ ខ្មែរ ລາວ ภาษาไทย བོད་ཡིག",
    "مرحبا بالعالم، كَيْفَ حَالُكَ؟ עִבְרִית שלום יידיש ܣܘܪܝܝܐ ދިވެހި አማርኛ ქართული Հայերեն ελληνικά ᾳ̂ русский ё й",
    "中文字符，标点。日本語のテキスト・カタカナー゛゜゠々〆〇ヶ",
    "ㄅㄆㄇ 한국어 조선말 漢字かな交じり文！ 123年 第1章。龥龦龧鿿㐀𠀀",
    "https://www.example.com/a/b?c=d&e=%20#f user@mail.example 2024-05-06T07:08:09Z 1,234,567.89 C:\\x\\y.txt",
    "def f(x):\n    if x == 0:\n\t\treturn {'a': [1, 2]}  # c\n\n\nclass A(B):\n        pass\n",
    "camelCaseWord SCREAMING_SNAKE kebab-case iPhone XMLHttpRequest naïve Straße ǅ ʼn ﬁ ﬆ İ ı ſ K",
    "a" * 400 + " " + "ab" * 200 + " " + "=" * 300 + "é" * 200 + "字" * 150 + "\u0301" * 40,
    "<|endoftext|> <s></s> [SEP] <|im_start|>system\n<think></think> |||EMAIL_ADDRESS||| <pad><unk><mask>",
    " ", "\n", "'", "a", "\u0301", " '", "' s", "\u00a0", "  \u0301", " \n ", "1", "\x00",
]  # fmt: skip


def probes(names: list[str]) -> list[str]:
    """Some 70 texts, 17 kB in all: the edges above and all blocks of Unicode; and the added tokens' names in text."""
    texts = list(_EDGES)
    points = [point for block in (range(0x80, 0xD800, 37), range(0xE000, 0x30000, 331)) for point in block]
    around = ("{0}", " {0}", "a{0}b", "{0}1{0} ", "{0}\n{0}{0}'s", "  {0}  ")
    for begin in range(0, len(points), 48):
        chars = [chr(point) for point in points[begin : begin + 48]]
        texts.append("".join(around[(begin + k) % len(around)].format(char) for k, char in enumerate(chars)))
    texts += [f"before{name}after {name} {name}{name}\u0301 {name[:-1]} {name[1:]}" for name in names]
    return texts
