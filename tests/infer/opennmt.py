#!/usr/bin/env python3
"""What OpenNMT-py 3.5.1 itself says of a checkpoint, beside which bitstill's answers are held.

    opennmt.py make FOLDER   trains the small checkpoints of tests/infer/opennmt and writes their answers
    opennmt.py check CHECKPOINT VOCABULARY SOURCE TARGET [SENTENCES]
                             exports a checkpoint and compares perplexity (equal to 1e-4) and greedy lines (1 % may
                             differ, from a step on where OpenNMT-py's first two logits are within 1e-4).
                             VOCABULARY: its SentencePiece .model, or source's,target's. BITSTILL: the program

Needs torch, sentencepiece and OpenNMT-py (pip install --no-deps OpenNMT-py==3.5.1, pyonmttok, pyahocorasick and so
on; what it imports of spacy and fasttext is not used here and need not be there).
"""
import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import types

import sentencepiece
import torch

for unused in ("spacy", "fasttext"):
    sys.modules.setdefault(unused, types.ModuleType(unused))
import onmt.bin.train
import onmt.bin.translate
from onmt.model_builder import load_test_model

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MOST = 24  # tokens of the small checkpoints' lines
torch.serialization.add_safe_globals([argparse.Namespace])
torch.set_num_threads(1)
torch.set_grad_enabled(False)


class Checkpoint:
    """What OpenNMT-py answers, by ids of the .model."""

    def __init__(self, path, vocabulary):
        self.vocabs, self.model, _ = load_test_model(argparse.Namespace(
            models=[path], world_size=1, gpu=-1, gpu_ranks=[], precision="fp32", quant_layers=[], quant_type=""))
        models = [sentencepiece.SentencePieceProcessor(model_file=name) for name in vocabulary.split(",")]
        self.source, self.target = models[0], models[-1]
        tokens = [self.target.id_to_piece(i) for i in range(self.target.get_piece_size())]
        roles = {"<unk>": self.target.unk_id(), "<s>": self.target.bos_id(), "</s>": self.target.eos_id(),
                 "<blank>": self.target.pad_id()}
        for token, i in roles.items():
            if i >= 0:
                tokens[i] = token
        self.rows = self.vocabs["tgt"](tokens)  # <unk>'s of what it does not know
        # All that is <unk> to it shares <unk>'s probability.
        unknown = torch.tensor(self.rows) == self.vocabs["tgt"]["<unk>"]
        self.share = unknown * math.log(unknown.sum())

    def begin(self, sentence):
        ids = torch.tensor(self.vocabs["src"](self.source.encode(sentence, out_type=str))).view(1, -1, 1)
        memory, last, lengths = self.model.encoder(ids, torch.tensor([ids.size(1)]))
        self.model.decoder.init_state(ids, memory, last)
        return memory, lengths

    def logits(self, source, ids):
        """After each of the target's ids, of all its tokens."""
        said = torch.tensor([self.rows[i] for i in ids]).view(1, -1, 1)
        return self.model.generator(self.model.decoder(said, source[0], src_len=source[1])[0])[0]

    def of_pieces(self, logits):
        return logits[:, self.rows] - self.share

    def perplexities(self, pairs):
        """Over the target's pieces and ends: of the .model's pieces alone, and of all tokens as OpenNMT-py has it."""
        sums, count = [0, 0], 0
        for source, target in pairs:
            ids = self.target.encode(target)
            logits = self.logits(self.begin(source), [self.target.bos_id(), *ids])
            ids.append(self.target.eos_id())
            count += len(ids)
            for i, (rows, right) in enumerate([(self.of_pieces(logits), ids),
                                               (logits, [self.rows[one] for one in ids])]):
                sums[i] -= torch.log_softmax(rows.double(), 1)[range(len(ids)), right].sum().item()
        return [math.exp(loss / count) for loss in sums]

    def greedy(self, sentence, most):
        """The likeliest piece each time, as text, and how it begins before the first near-tie, None without one."""
        source, ids, tie = self.begin(sentence), [self.target.bos_id()], None
        while len(ids) <= most:
            logits = self.of_pieces(self.logits(source, ids[-1:]))[0]
            logits[self.target.bos_id()] = -math.inf
            best, second = torch.topk(logits, 2)[0]
            if tie is None and best - second <= 1e-4:
                tie = self.target.decode(ids[1:])
            ids.append(int(logits.argmax()))
            if ids[-1] == self.target.eos_id():
                ids.pop()
                break
        return self.target.decode(ids[1:]), tie


def read_lines(path):
    with open(path, encoding="utf8") as file:
        return file.read().split("\n")[:-1]


def write_lines(path, lines):
    with open(path, "w", encoding="utf8") as file:
        file.writelines(line + "\n" for line in lines)


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(command)}")
    return done.stdout.decode()


def check(checkpoint, vocabulary, source, target, sentences="1000"):
    program = os.environ.get("BITSTILL", ROOT + "/build/release/bitstill")
    pairs = [pair for pair in zip(read_lines(source), read_lines(target)) if all(side.strip() for side in pair)]
    pairs = pairs[:int(sentences)]
    truth = Checkpoint(checkpoint, vocabulary)
    with tempfile.TemporaryDirectory() as folder:
        exported, texts, shards = folder + "/m.safetensors", [folder + "/source", folder + "/target"], folder + "/shards"
        for path, lines in zip(texts, zip(*pairs)):
            write_lines(path, lines)
        print(run(sys.executable, ROOT + "/launch/export_pytorch.py", checkpoint, exported, "--vocabulary", vocabulary))
        run(program, "shard", "--vocabulary", vocabulary, "--source", ",".join(texts), "--validation", "1",
            "--test-source", ",".join(texts), "--out", shards)
        found = json.loads(run(program, "evaluate", "--model.file", exported, "--data.folder", shards, "--json"))[0]
        lines = run(program, "translate", "--model.file", exported, "--beam", "1", "--input", texts[0]).split("\n")
    right, own = truth.perplexities(pairs)
    print(f"perplexity of {len(pairs)} sentences: {found['perplexity']:.6f}, of OpenNMT-py's answers {right:.6f}, "
          f"with tokens that are no pieces {own:.6f}")
    other = ties = 0
    for (sentence, _), line in zip(pairs, lines):
        text, tie = truth.greedy(sentence, min(500, 3 * len(truth.source.encode(sentence)) + 20))
        other += line != text
        ties += line != text and tie is not None and line.startswith(tie)
    print(f"greedy lines that differ: {other}, of which {ties} after a near-tie")
    return abs(found["perplexity"] / right - 1) <= 1e-4 and other == ties and other <= 0.01 * len(pairs)


WORDS = [pair.split(":") for pair in (
    "dog:Hund cat:Katze horse:Pferd fox:Fuchs bird:Vogel child:Kind woman:Frau farmer:Bauer river:Fluß bridge:Brücke "
    "sees:sieht finds:findet hears:hört follows:verfolgt paints:malt likes:mag "
    "green:grüne old:alte small:kleine yellow:gelbe quiet:stille tired:müde").split()]
NOUNS, VERBS, ADJECTIVES = WORDS[:10], WORDS[10:16], WORDS[16:]


def made_pairs(count, seed):
    """The verb goes last; a sentence of one to three clauses."""
    draw, pairs = random.Random(seed), []
    for _ in range(count):
        source, target = [], []
        for _ in range(draw.choice((1, 1, 1, 2, 2, 3))):
            first, second = (draw.sample(ADJECTIVES, draw.choice((0, 0, 1))) + [draw.choice(NOUNS)] for _ in range(2))
            verb = draw.choice(VERBS)
            source.append(" ".join(["the", *(one[0] for one in first), verb[0], "a", *(one[0] for one in second)]))
            target.append(" ".join(["das", *(one[1] for one in first), "ein", *(one[1] for one in second), verb[1]]))
        pairs.append((" and ".join(source) + ".", " und ".join(target) + "."))
    return pairs


def train_model(name, pieces, sentences, **more):
    """Without SentencePiece's large table of letters."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_prefix=name, vocab_size=pieces, model_type="bpe", num_threads=1,
        character_coverage=1.0, normalization_rule_name="identity", minloglevel=2, **more)
    os.remove(name + ".vocab")
    return sentencepiece.SentencePieceProcessor(model_file=name + ".model")


def write_vocabulary(path, model, without=(), extra=()):
    """As OpenNMT-py reads it: in an order of its own."""
    pieces = {model.id_to_piece(i) for i in range(model.get_piece_size())
              if not model.is_control(i) and not model.is_unknown(i)}
    write_lines(path, sorted(pieces - set(without)) + extra)


def train(name, steps, *options):
    """By OpenNMT-py, in the present folder: NAME.pt in fp16, of which it computes in fp32."""
    with open(name + ".yaml", "w", encoding="utf8") as file:
        file.write(f"data: {{toy: {{path_src: {name}.src, path_tgt: {name}.tgt}}}}\n")
    sys.argv = ["onmt_train", "-config", name + ".yaml", "-src_vocab", name + ".src.vocab", "-tgt_vocab",
                name + ".tgt.vocab", "-save_model", name, "-train_steps", str(steps), "-save_checkpoint_steps",
                str(steps), "-batch_size", "64", "-bucket_size", "8000", "-num_workers", "0", "-optim", "adam",
                "-learning_rate", "0.01", "-dropout", "0", "-max_grad_norm", "5", "-seed", "1", *options]
    with torch.enable_grad():
        onmt.bin.train.main()
    held = torch.load(f"{name}_step_{steps}.pt")
    halves = {}  # a tied tensor once
    for part in ("model", "generator"):
        for key, value in held[part].items():
            held[part][key] = halves.setdefault(value.data_ptr(), value.half())
    torch.save({key: held[key] for key in ("model", "generator", "vocab", "opt")}, name + ".pt")


def own_lines(name, checkpoint, sources):
    """What OpenNMT-py's translation writes, taken together to text."""
    write_lines("asked", [" ".join(checkpoint.source.encode(source, out_type=str)) for source in sources])
    sys.argv = ["onmt_translate", "-model", name + ".pt", "-src", "asked", "-output", "said", "-beam_size", "1",
                "-random_sampling_topk", "1", "-max_length", str(MOST), "-max_length_ratio", "0", "-gpu", "-1"]
    onmt.bin.translate.main()
    return [checkpoint.target.decode(line.split()) for line in read_lines("said")]


def make(folder):
    folder = os.path.abspath(folder)
    taught, pairs = made_pairs(8000, 1), made_pairs(40, 2)
    pairs[7] = tuple(side.replace(".", " 犬.") for side in pairs[7])  # <unk>
    sources, targets = ([pair[side] for pair in taught] for side in (0, 1))
    golden = {"most_tokens": MOST, "pairs": pairs, "checkpoints": {}}
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        joint = train_model("joint", 200, sources + targets, pad_id=1, unk_id=3, bos_id=0, eos_id=2, pad_piece="<blank>")
        apart = [train_model("source", 90, sources),
                 train_model("target", 110, targets, bos_id=2, eos_id=1, unk_piece="[UNK]", bos_piece="[BOS]",
                             eos_piece="[EOS]")]
        seldom = [[model.id_to_piece(i) for i in range(40, 80, 9)] for model in apart]
        for name, models, without, extra, steps, options in (
                ("plain", [joint, joint], ([], []), [], 3000, "-encoder_type brnn -layers 1 -hidden_size 32 "
                 "-word_vec_size 32"),
                # Of small random weights every line would be about the same.
                ("all", [joint, joint], ([], []), [], 1, "-encoder_type brnn -layers 2 -hidden_size 8 -word_vec_size 8 "
                 "-bridge -share_vocab -share_embeddings -share_decoder_embeddings -param_init 1.2"),
                ("apart", apart, seldom, ["｟de｠"], 1, "-encoder_type rnn -layers 2 -hidden_size 8 -word_vec_size 8 "
                 "-input_feed 0 -share_decoder_embeddings -param_init 1.2")):
            for model, lines, side, left in zip(models, (sources, targets), ("src", "tgt"), without):
                write_lines(f"{name}.{side}", [" ".join(model.encode(line, out_type=str)) for line in lines])
                write_vocabulary(f"{name}.{side}.vocab", model, left, extra)
            train(name, steps, *options.split())
            vocabulary = "joint.model" if models[0] is models[1] else "source.model,target.model"
            checkpoint = Checkpoint(name + ".pt", vocabulary)
            lines, ties = zip(*(checkpoint.greedy(source, MOST) for source, _ in pairs))
            right, own = checkpoint.perplexities(pairs)
            theirs = own_lines(name, checkpoint, [source for source, _ in pairs])
            print(name, right, own, sum(map(str.__ne__, lines, theirs)), ties, lines, sep="\n")
            assert lines == tuple(theirs) and not any(tie is not None for tie in ties)
            golden["checkpoints"][name] = {"vocabulary": vocabulary, "perplexity": right, "own_perplexity": own,
                                           "lines": lines}
            os.replace(name + ".pt", f"{folder}/{name}.pt")
        for name in ("joint", "source", "target"):
            os.replace(name + ".model", f"{folder}/{name}.model")
    with open(folder + "/golden.json", "w", encoding="utf8") as file:
        json.dump(golden, file, ensure_ascii=False, indent=1)
        file.write("\n")


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ("make", "check"):
        sys.exit(__doc__)
    ok = {"make": make, "check": check}[sys.argv[1]](*sys.argv[2:])
    sys.exit(1 if ok is False else 0)
