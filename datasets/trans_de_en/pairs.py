#!/usr/bin/env python3
"""pairs.py DICTIONARY COUNT: pairs of phrases of a Ding dictionary, a tab between them.

A line is `forms :: forms`, forms are divided by `|` and each may have synonyms, divided by `;`. The
n-th form of one side translates the n-th of the other; the first synonym of each is taken, without
what stands in brackets of any kind or between slashes.
"""
import random
import re
import sys

ASIDE = re.compile(r"\{[^}]*\}|\[[^\]]*\]|\([^)]*\)|<[^>]*>|/[^/]*/")


def phrase(form):
    return " ".join(ASIDE.sub(" ", form).split(";")[0].split())


def pairs_of(line):
    sides = line.split("::")
    if line.startswith("#") or len(sides) != 2:
        return
    german, english = (side.split("|") for side in sides)
    if len(german) == len(english):
        for pair in zip(map(phrase, german), map(phrase, english)):
            if all(pair):
                yield pair


def main():
    path, count = sys.argv[1], int(sys.argv[2])
    with open(path, encoding="utf-8") as dictionary:
        pairs = list(dict.fromkeys(pair for line in dictionary for pair in pairs_of(line)))
    chosen = sorted(random.Random(1).sample(range(len(pairs)), min(count, len(pairs))))
    for number in chosen:
        print("\t".join(pairs[number]))


main()
