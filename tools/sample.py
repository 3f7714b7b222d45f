"""Print random texts of the project, to be judged by a reader who does not know it: `python -m tools.sample SEED`."""

import random
import re
import sys

from tools import prose


def main(arguments: list[str]) -> int:
    seed = int(arguments[0]) if arguments else 1
    draw = random.Random(seed)  # noqa: S311  # a seed, so that a sample can be drawn again
    sentences = [
        prose.Text(each.place, sentence)
        for each in prose.documents()
        for sentence in re.split(r"(?<=[.!?])\s+", each.text)
        if len(sentence.split()) > 3
    ]
    kinds = {
        "docstrings": (60, list(prose.docstrings(*prose.PRODUCT))),
        "comments": (40, list(prose.comments(*prose.PRODUCT))),
        "messages": (40, list(prose.messages())),
        "sentences of the documents": (40, sentences),
    }
    for kind, (number, texts) in kinds.items():
        print(f"== {number} {kind} of {len(texts)}, seed {seed} ==")
        for each in draw.sample(texts, min(number, len(texts))):
            print(f"- {each.place}: {' '.join(each.text.split())}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
