#!/usr/bin/env python3
"""word_pairs.py FOLDER TRAIN TEST: pairs of up to four words of ten, translated one by one, as
FOLDER/train.en, train.de, test.en and test.de."""
import random
import sys

WORDS = [("dog", "Hund"), ("green", "grün"), ("walks", "läuft"), ("over", "über"), ("bridge", "Brücke"),
         ("house", "Haus"), ("seven", "sieben"), ("yellow", "gelb"), ("fox", "Fuchs"), ("river", "Fluß")]


def put(path, count):
    with open(path + ".en", "w") as en, open(path + ".de", "w") as de:
        for _ in range(count):
            chosen = random.choices(WORDS, k=random.randint(1, 4))
            en.write(" ".join(word[0] for word in chosen) + "\n")
            de.write(" ".join(word[1] for word in chosen) + "\n")


random.seed(1)
put(sys.argv[1] + "/train", int(sys.argv[2]))
put(sys.argv[1] + "/test", int(sys.argv[3]))
