"""Texts that are shaped like benchmark items and are none: questions from templates, exam boilerplate, common code."""

from __future__ import annotations

import re

from .draws import Draws

SLOTS: dict[str, tuple[str, ...]] = {
    "name": ("Orla", "Tevita", "Bram", "Ximena", "Idris", "Saoirse", "Anselm", "Marit", "Kwabena", "Ilse", "Dragan",
             "Leilani", "Piet", "Zofia", "Emeka", "Noor"),
    "thing": ("lanterns", "bobbins", "seed packets", "tiles", "walnuts", "kites", "postcards", "teaspoons", "ribbons",
              "light bulbs", "paper boats", "gaskets", "jars of chutney", "bus tickets", "pinecones"),
    "place": ("the tram depot", "a village fair", "the allotment", "the ferry quay", "the bindery", "a swap meet",
              "the observatory shop", "the community kiln", "the lock-keeper's shed"),
    "n": tuple(str(number) for number in range(3, 97)),
    "material": ("basalt", "felt", "copper wire", "birch bark", "rubber", "slate", "candle wax", "cork", "brass"),
    "body": ("spleen", "cochlea", "femur", "retina", "trachea", "pancreas", "tibia", "aorta", "larynx"),
    "country": ("Malawi", "Uruguay", "Latvia", "Bhutan", "Oman", "Suriname", "Slovenia", "Fiji", "Benin", "Laos"),
    "person": ("Ada Lovelace", "Ibn Battuta", "Sofia Kovalevskaya", "Zheng He", "Mary Anning", "Simon Bolivar",
               "Hypatia", "Emmy Noether", "Toussaint Louverture", "Lise Meitner"),
    "field": ("soil science", "contract law", "marine biology", "bookkeeping", "phonetics", "metallurgy", "cartography",
              "dental hygiene", "crop rotation", "typography"),
    "verb": ("polish", "label", "stack", "repair", "wrap", "sort", "paint", "weigh"),
    "structure": ("a nested list", "two dictionaries", "a comma separated line", "a matrix of booleans", "a queue",
                  "a list of file names", "a tree of menu entries"),
}  # fmt: skip

STORIES = (
    "{name} has {n} {thing} at {place} and gives {n} of them to {name}. How many {thing} does {name} have left?",
    "{name} can {verb} {n} {thing} in an hour. {name} works {n} hours on Monday and half as long on Friday. How many "
    "{thing} does {name} {verb} altogether?",
    "A box at {place} holds {n} {thing}. {name} buys {n} boxes for {n} dollars each and sells every item for 2 "
    "dollars. How much profit does {name} make?",
    "{name} is {n} years older than {name}. In {n} years their ages will add up to {n}. How old is {name} now?",
    "The price of {thing} at {place} rose by {n} percent and then fell by {n} percent. What is the price now if it "
    "was {n} dollars at first?",
    "Which of the following is the best example of {material} being used in {field}?",
    "Which of the following statements about the {body} is true?",
    "Which of the following is NOT a property of {material}?",
    "What is the main reason that {material} is used in {field} instead of {material}?",
    "A student wants to find out whether {material} or {material} keeps water warm for longer. Which variable should "
    "the student keep the same?",
    "What is the capital of {country} and which language do most of its people speak?",
    "Who was {person}, and what is {person} best known for in the history of {field}?",
    "In what year did {person} first travel to {country}?",
    "how many {thing} does {country} export each year according to {person}",
    "is the {body} part of the same system as the {body}",
    "A patient comes to the clinic with pain near the {body} for {n} days. Which of the following is the most likely "
    "diagnosis?",
    "{name} put the {thing} next to the {material} because it was too heavy. What was too heavy?",
    "To {verb} {thing} without {material}, you should first",
    "If {name} did not {verb} the {thing}, what would happen next at {place}?",
    "Write a function to {verb} {structure} and return the number of {thing}.",
    "Write a python function that takes {structure} and {structure} and returns True if they hold the same {thing}.",
    "Find the value of $x$ such that ${n}x + {n} = {n}x - {n}$. Express your answer as a fraction.",
    "The sum of {n} consecutive integers is {n}. What is the least of them?",
    "According to the passage, why did {person} disagree with the people of {country} about {field}?",
)
"""Questions in the manner of common benchmarks; each `{slot}` is drawn on its own."""

OPTIONS = (
    ("All of the above", "None of the above", "Both A and B", "Neither A nor B"),
    ("I only", "II only", "I and II only", "I, II, and III"),
    ("True, True", "False, False", "True, False", "False, True"),
    ("It will increase.", "It will decrease.", "It will stay the same.", "It cannot be determined."),
    ("Yes", "No", "Maybe", "Not given"),
    ("Statement 1 is true", "Statement 2 is true", "Both statements are true", "Neither statement is true"),
    ("0", "1", "2", "3"),
    ("the first one", "the second one", "both of them", "none of these"),
)

INSTRUCTIONS = (
    "The following are multiple choice questions (with answers) about {field}.",
    "Choose the correct answer. Mark your answers on the separate answer sheet. You have {n} minutes.",
    "Read each question carefully, then choose the option that best completes the statement or answers the question.",
    "For each of the questions below, choose the best answer from the options given (A, B, C, or D).",
    "Which of the following statements is true? Which of the following statements is false?",
    "Read the passage and answer the questions that follow. Each question is worth {n} points.",
    "Let's think step by step. Answer the question with a single letter and explain your reasoning.",
    "Fill in the blank with the option that makes the most sense.",
    "Answer key: 1. B 2. D 3. A 4. A 5. C 6. B 7. D 8. C 9. A 10. B",
    "Correct! The correct answer is B. You scored {n} out of 100. Try again or share your result.",
)

CODE = (
    "import sys\nimport os\nfrom typing import List, Optional, Tuple\n\n\ndef main() -> None:\n"
    '    for line in sys.stdin:\n        print(line.strip())\n\n\nif __name__ == "__main__":\n    main()\n',
    "from typing import List\n\n\ndef {f}(numbers: List[int]) -> int:\n    result = 0\n"
    "    for i in range(len(numbers)):\n        if numbers[i] > {n}:\n"
    "            result += numbers[i]\n    return result\n",
    'def {f}(lst):\n    """Return the sorted list without repeated values."""\n    return sorted(set(lst))\n\n'
    "assert {f}([3, {n}, 3]) == sorted([3, {n}])\n",
    "def {f}(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n\nprint({f}({n}, {n}))\n",
    "def {f}(n):\n    if n < 2:\n        return False\n    for i in range(2, int(n ** 0.5) + 1):\n"
    "        if n % i == 0:\n            return False\n    return True\n",
    "def {f}(n):\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a\n",
    "def {f}(s):\n    counts = {}\n    for c in s:\n        if c in counts:\n"
    "            counts[c] += 1\n        else:\n"
    "            counts[c] = 1\n    return counts\n",
    "def {f}(text):\n    words = text.split()\n    return ' '.join(word[::-1] for word in words)\n",
    "def {f}(matrix):\n    rows, cols = len(matrix), len(matrix[0])\n    for i in range(rows):\n"
    "        for j in range(cols):\n            matrix[i][j] *= {n}\n    return matrix\n",
    "import unittest\n\n\nclass Test{F}(unittest.TestCase):\n    def test_empty(self):\n"
    "        self.assertEqual({f}([]), [])\n\n    def test_one(self):\n"
    "        self.assertEqual({f}([{n}]), [{n}])\n\n\n"
    "if __name__ == '__main__':\n    unittest.main()\n",
    "import argparse\n\nparser = argparse.ArgumentParser(description='{f}')\n"
    "parser.add_argument('--input', type=str, required=True)\nparser.add_argument('--seed', type=int, default={n})\n"
    "args = parser.parse_args()\n",
    "def {f}(path):\n    with open(path, encoding='utf-8') as file:\n        for line in file:\n"
    "            yield line.rstrip('\\n')\n",
    "def check(candidate):\n    assert candidate([]) == []\n    assert candidate([{n}]) == [{n}]\n\n\ncheck({f})\n",
    "def {f}(arr, x):\n    low, high = 0, len(arr) - 1\n    while low <= high:\n        mid = (low + high) // 2\n"
    "        if arr[mid] == x:\n            return mid\n        if arr[mid] < x:\n            low = mid + 1\n"
    "        else:\n            high = mid - 1\n    return -1\n",
    "import re\nimport math\nimport collections\n\n\ndef {f}(values):\n"
    "    return math.sqrt(sum(v ** 2 for v in values) / max(len(values), {n}))\n",
    "def {f}(arr):\n    n = len(arr)\n    for i in range(n):\n        for j in range(0, n - i - 1):\n"
    "            if arr[j] > arr[j + 1]:\n                arr[j], arr[j + 1] = arr[j + 1], arr[j]\n    return arr\n",
)
"""Programs of the kind that every tutorial has; `{f}`, `{F}` and `{n}` are drawn, the same all through a program."""

_NAMES = (
    "process",
    "solve",
    "compute",
    "handle",
    "transform",
    "helper",
    "run_task",
    "evaluate",
    "collect",
    "merge_all",
)


def fill(template: str, draws: Draws) -> str:
    """A template with each of its slots drawn on its own."""
    return re.sub(r"{(\w+)}", lambda match: draws.choice(SLOTS[match[1]]), template)


def program(draws: Draws) -> str:
    """One of CODE with its name and number drawn."""
    name = draws.choice(_NAMES)
    number = draws.choice(SLOTS["n"])
    text = draws.choice(CODE)
    return text.replace("{f}", name).replace("{F}", name.title().replace("_", "")).replace("{n}", number)
