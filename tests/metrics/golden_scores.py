#!/usr/bin/env python3
"""Makes golden_scores.json, what bleu_test and chrf_test compare with:

    pip install sacrebleu==2.6.0 && python3 tests/metrics/golden_scores.py > tests/metrics/golden_scores.json

With two files of as many lines, hypotheses and references, it scores these instead.
"""
import json
import sys

import sacrebleu
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

# hypothesis, reference: of a few kinds each.
GROUPS = {
    "plain": [
        ("Two young dogs are running across the wet grass.",
         "Two young dogs run across the wet grass."),
        ("A woman in a red coat is reading a newspaper on a bench.",
         "A woman wearing a red coat reads a newspaper on the bench."),
        ("Several people wait at the station, and it is raining.",
         "Several people are waiting at the station; it rains."),
        ("The man plays the guitar.", "The man plays the guitar."),
    ],
    "casing": [
        ("the OLD man and The Sea", "The old Man and the Sea"),
        ("ÄRGER ÜBER ÖL und STRASSE", "Ärger über Öl und Straße"),
        ("A Cat Sits On The Mat today", "a cat sits on the mat today"),
    ],
    "entities": [
        ("He said &quot;stop&quot; &amp; left &lt;quickly&gt; .", "He said \"stop\" & left <quickly>."),
        ("AT&amp;T and R&amp;amp;D", "AT&T and R&amp;D"),
        ("a <skipped> word &apos;here&apos;", "a word 'here'"),
        ("&quot", "& quot ;"),
    ],
    "punctuation": [
        ("It costs 1,000.50 dollars (about 900 euros)... or more?!",
         "It costs 1,000.50 dollars ( about 900 euros ) ... or more ?!"),
        ("Pages 10-20, lines 3-4, 5.-6., x-ray and e.g., the U.S.A.",
         "Pages 10 -20, lines 3 - 4, 5.-6. , x-ray and e.g. the U.S.A."),
        (".,., ,,.. 1.,2 3,.4 a.b,c .5 5. ,6 6,", ". , . , ,,.. 1.,2 3,.4 a . b , c .5 5. ,6 6 ,"),
        ("[a] {b} ~c~ `d` ^e^ _f_ |g| \\h\\ /i/ @j @ #k $l %m *n +o =p <q> ;r :s",
         "[ a ] { b } ~c~ `d` ^e^ _f_ | g | \\h\\ / i / @j @ #k $l %m *n +o =p <q> ; r : s"),
        ("'tis the dogs' don't -- a-b 1-a 1--2 -3", "' tis the dogs ' do n't - - a-b 1 -a 1 - -2 - 3"),
    ],
    "other scripts": [
        ("„Grüß Gott“, sagte der Bär – und ging…", "„ Grüß Gott “ , sagte der Bär — und ging ..."),
        ("Ein\u00a0Hund\u2009läuft\u3000schnell über den Weg", "Ein Hund läuft schnell über den Weg"),
        ("Собака бежит по траве.", "Собака бежала по мокрой траве."),
        ("犬が草の上を走っている。", "犬は濡れた草の上を走る。"),
        ("naïve café 😀😀 e\u0301te\u0301", "naïve cafe 😀 été"),
        ("٣٫٥ и ３.５ и ５-６", "٣٫٥ и ３ . ５ и ５ - ６"),
    ],
    "empty": [
        ("", "An answer was expected here."),
        (" \t ", "And another one there."),
        ("Nothing was expected here.", ""),
        ("", ""),
        ("Some words are right here", "Some words are right there"),
    ],
    "all empty": [("", "One line."), ("", "Another line.")],
    "nothing right": [("alpha beta gamma delta epsilon", "one two three four five")],
    "one word right": [("one beta gamma delta epsilon", "one two three four five six seven")],
    "short": [("a b", "a b"), ("c", "c"), ("d e f", "d e f g")],
    "repeated": [
        ("the the the the the the the", "the cat is on the mat"),
        ("ha ha ha ha ha ha ha ha ha ha", "ha ha ha"),
        ("aaaaaaaaaaaaaaaaaaaa", "aaaa aaaa"),
    ],
    "long": [
        ("a man in a blue shirt is standing on a ladder cleaning a window " * 3,
         "a guy in a blue shirt stands on a ladder and cleans the window " * 3),
    ],
}


def multi_bleu(hypotheses, references):
    """multi-bleu.perl -lc sees bytes: words are kept from sacrebleu's by their hexadecimal digits."""
    bleu = BLEU(tokenize="none", smooth_method="none", force=True)
    hexed = [[" ".join(word.hex() for word in line.encode().lower().split()) for line in side]
             for side in (hypotheses, references)]
    return bleu.corpus_score(hexed[0], [hexed[1]]).score


def scores(hypotheses, references):
    bleu = BLEU(force=True)
    chrf = CHRF()
    result = {
        "bleu": bleu.corpus_score(hypotheses, [references]).score,
        "multi": multi_bleu(hypotheses, references),
        "chrf": chrf.corpus_score(hypotheses, [references]).score,
    }
    return result, str(bleu.get_signature()), str(chrf.get_signature())


def group_json(name, pairs):
    words = Tokenizer13a()
    hypotheses, references = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return {
        "name": name,
        **scores(hypotheses, references)[0],
        "pairs": [{"hypothesis": hypothesis, "reference": reference,
                   **scores([hypothesis], [reference])[0],
                   "words": words(hypothesis).split()} for hypothesis, reference in pairs],
    }


def main():
    if len(sys.argv) == 3:
        sides = [open(path, encoding="utf-8").read().split("\n")[:-1] for path in sys.argv[1:]]
        print(json.dumps(scores(*sides)[0]))
        return
    groups = dict(GROUPS, together=[pair for group in GROUPS.values() for pair in group])
    _, bleu, chrf = scores(["a"], ["a"])
    made_by = f"sacrebleu {sacrebleu.__version__}, tests/metrics/golden_scores.py"
    print(json.dumps({"made_by": made_by, "bleu_signature": bleu, "chrf_signature": chrf,
                      "groups": [group_json(*group) for group in groups.items()]},
                     ensure_ascii=False, indent=1))


main()
