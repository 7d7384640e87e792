#!/usr/bin/env python3
"""relabel.py PICTURES FOLDER CLASSES TRAIN OTHERS: FOLDER/(train|val|test)/cNNNN, all CLASSES of them in train;
TRAIN, OTHERS and OTHERS of the JPEGs below PICTURES (over again where there are fewer), linked, each in the next
class. What they show no longer matches their class: for steps that are counted, timed and weighed."""
import itertools
import os
import sys


def pictures(folder):
    for place, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            if name.lower().endswith((".jpg", ".jpeg")):
                yield os.path.join(place, name)


def main():
    source, folder = sys.argv[1:3]
    classes, train, others = map(int, sys.argv[3:])
    files = itertools.cycle(list(pictures(source)))
    for split, count in (("train", train), ("val", others), ("test", others)):
        for label in range(classes if split == "train" else min(others, classes)):
            os.makedirs(os.path.join(folder, split, f"c{label:04}"))
        for number in range(count):
            label = number % classes
            os.link(next(files), os.path.join(folder, split, f"c{label:04}", f"{number:05}.jpg"))


main()
