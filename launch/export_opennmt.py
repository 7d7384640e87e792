"""For export_pytorch.py: checkpoints of OpenNMT-py 3, LSTMs with attention, as bitstill has them.

Names and layouts of the two are the same but for generator.weight and generator.bias; the rows of
embeddings and generator are put in the order of the SentencePiece models.
"""
import json
import math

import torch

TABLE = "{}.embeddings.make_embedding.emb_luts.0.weight"
# What has a row for each token, of which side.
ROWS = {TABLE.format("encoder"): "source", TABLE.format("decoder"): "target", "generator.weight": "target",
        "generator.bias": "target"}
TIED = {"none": [], "decoder": ["generator.weight"], "all": ["generator.weight", TABLE.format("decoder")]}
# A model's <unk>, <s>, </s> and <pad> by their fields and types in SentencePiece's format, whatever
# they are called there, and what OpenNMT-py calls them.
SPECIALS = {"<unk>": (45, 2, "<unk>"), "<s>": (46, 3, "<s>"), "</s>": (47, 3, "</s>"), "<pad>": (48, 3, "<blank>")}
FILLER = "averyunlikelytoken"  # rows that make a vocabulary's size a multiple of 8
# Options and what they can be for bitstill's lstm; of all others any value will do.
CAN_BE = {
    "model_task": ["seq2seq"], "model_type": ["text"], "encoder_type": ["rnn", "brnn"], "decoder_type": ["rnn"],
    "rnn_type": ["LSTM"], "global_attention": ["general"], "global_attention_function": ["softmax"],
    "generator_function": ["softmax"], "copy_attn": [False], "coverage_attn": [False], "context_gate": [None],
    "position_encoding": [False], "n_src_feats": [0], "lora_layers": [[]], "lora_embedding": [False],
    "quant_layers": [[]], "decoder_start_token": ["<s>"],
}
ONE_VALUE = {"size": ["enc_hid_size", "dec_hid_size", "src_word_vec_size", "tgt_word_vec_size"],
             "layers": ["enc_layers", "dec_layers"]}
MOST_LEFT_OUT = 0.1  # of a checkpoint's tokens


class Refused(Exception):
    pass


def is_checkpoint(value):
    return isinstance(value, dict) and "opt" in value and isinstance(value.get("vocab"), dict)


def some(names):
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def network_of(options):
    """What the options say of the network, as bitstill's model files do."""
    for name, values in CAN_BE.items():
        value = getattr(options, name, values[0])
        if value not in values:
            raise Refused(f"its {name} = {value} is not supported, only {' or '.join(map(str, values))}")
    network = {"kind": "lstm"}
    for ours, names in ONE_VALUE.items():
        values = [getattr(options, name, None) for name in names]
        if len(set(values)) > 1 or values[0] is None:
            said = ", ".join(f"{name} {value}" for name, value in zip(names, values))
            raise Refused(f"it has {said}; bitstill's lstm has them equal")
        network[ours] = values[0]
    dropout = getattr(options, "dropout", 0)
    shared = getattr(options, "share_decoder_embeddings", False)
    return network | {
        "bidirectional": getattr(options, "encoder_type", "rnn") == "brnn",
        "bridge": bool(getattr(options, "bridge", False)),
        "input_feed": bool(getattr(options, "input_feed", True)),
        "tie": ("all" if getattr(options, "share_embeddings", False) else "decoder") if shared else "none",
        "dropout": dropout[:1] if isinstance(dropout, list) else [dropout],
    }


def fields(message):
    """(number, value) of each field of a message in the format of Protocol Buffers."""
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
            continue
        size = {1: 8, 5: 4}[key & 7] if key & 7 != 2 else number()
        if at + size > len(message):
            raise IndexError
        yield key >> 3, message[at:at + size]
        at += size


class Vocabulary:
    """A SentencePiece .model: its bytes, and of each id the token that OpenNMT-py has for it."""

    def __init__(self, path):
        try:
            with open(path, "rb") as file:
                self.bytes = file.read()
            self.read()
        except OSError as error:
            raise Refused(f"cannot read {path}: {error.strerror}") from None
        except (IndexError, KeyError, AttributeError, TypeError, ValueError):
            raise Refused(f"{path} is no SentencePiece model") from None
        self.path = path
        for role in ("<unk>", "<s>", "</s>"):
            if role not in self.ids:
                raise Refused(f"{path} lacks {role}")

    def read(self):
        pieces, trainer = [], {}
        for number, value in fields(self.bytes):
            if number == 1:
                piece = dict(fields(value))
                pieces.append((piece[1].decode(), piece.get(3, 1)))
            elif number == 2:
                trainer = dict(fields(value))
        self.tokens = [piece for piece, _ in pieces]
        self.ids = {}
        for role, (field, kind, token) in SPECIALS.items():
            special = (trainer.get(field, role.encode()).decode(), kind)
            if special in pieces:
                self.ids[role] = pieces.index(special)
                self.tokens[self.ids[role]] = token


class Order:
    """Of each id of a vocabulary the row that a checkpoint has for it: <unk>'s where it has none."""

    def __init__(self, side, vocabulary, tokens):
        known = {token: row for row, token in enumerate(tokens)}
        if "<unk>" not in known:
            raise Refused(f"its {side} vocabulary has no <unk>")
        self.rows = [known.get(token, known["<unk>"]) for token in vocabulary.tokens]
        self.unknown = known["<unk>"]
        missing = [token for token in vocabulary.tokens if token not in known]
        ours = set(vocabulary.tokens)
        left_out = [token for token in tokens
                    if token not in ours and token != "<blank>" and not token.startswith(FILLER)]
        if len(left_out) > MOST_LEFT_OUT * len(tokens):
            raise Refused(f"{len(left_out)} of its {len(tokens)} {side} tokens are not in {vocabulary.path} "
                          f"({some(left_out)}); give the model that made them")
        self.notes = []
        if missing:
            self.notes.append(f"{vocabulary.path}: {len(missing)} of {len(vocabulary.tokens)} pieces without a {side} "
                              f"token of the checkpoint, taken as <unk>: {some(missing)}")
        if left_out:
            self.notes.append(f"{vocabulary.path}: no piece for {len(left_out)} of {len(tokens)} {side} tokens of the "
                              f"checkpoint, left out: {some(left_out)}")

    def of_bias(self, bias):
        """What counts as <unk> shares its probability, so that no other's changes."""
        share = math.log(self.rows.count(self.unknown))
        return torch.tensor([value - share if row == self.unknown else value
                             for row, value in zip(self.rows, bias[self.rows].tolist())])


def tensors_of(checkpoint, tie, orders, counts):
    tensors = dict(checkpoint["model"])
    tensors.update(("generator." + name, value) for name, value in checkpoint["generator"].items())
    for name, side in ROWS.items():
        if name not in tensors or len(tensors[name].shape) == 0 or tensors[name].shape[0] != counts[side]:
            raise Refused(f"its {name} has not the {counts[side]} rows of its {side} vocabulary")
        order = orders[side]
        tensors[name] = order.of_bias(tensors[name]) if name == "generator.bias" else tensors[name][order.rows]
    for name in TIED[tie]:
        del tensors[name]
    return tensors


def convert(checkpoint, models):
    """Of a checkpoint and the path of its .model, or those of its two: {name: tensor or bytes}, what
    the file says of itself, and lines for the user. Refused: what bitstill has no place for."""
    network = network_of(checkpoint["opt"])
    if not all(isinstance(checkpoint.get(key), dict) for key in ("model", "generator")):
        raise Refused("it holds no weights; write it with save_format pytorch")
    if not all(isinstance(checkpoint["vocab"].get(key), list) for key in ("src", "tgt")):
        raise Refused("its vocab is not lists of tokens; is it of OpenNMT-py 3?")
    source, target = Vocabulary(models[0]), Vocabulary(models[-1])
    joint = source.bytes == target.bytes
    if network["tie"] == "all" and not joint:
        raise Refused("it has share_embeddings; give one vocabulary for both sides")
    tokens = {"source": checkpoint["vocab"]["src"], "target": checkpoint["vocab"]["tgt"]}
    orders = {"source": Order("source", source, tokens["source"]), "target": Order("target", target, tokens["target"])}
    tensors = tensors_of(checkpoint, network["tie"], orders, {side: len(held) for side, held in tokens.items()})
    network.update(source_pieces=len(source.tokens), classes=len(target.tokens),
                   begin=target.ids["<s>"], end=target.ids["</s>"])
    vocabularies = ({"vocabulary.joint": source.bytes} if joint else
                    {"vocabulary.source": source.bytes, "vocabulary.target": target.bytes})
    about = {"format": 1, "kind": "weights", "network": network}
    return tensors | vocabularies, {"bitstill": json.dumps(about)}, [*orders["source"].notes, *orders["target"].notes]
