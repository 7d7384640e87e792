#!/usr/bin/env python3
"""Greedy translations of a Transformer against CTranslate2's, from the same tensors in float32: lines may differ
only from a token on whose place CTranslate2's two best logits are near each other. By hand; the model should
be a trained one. pip: ctranslate2==4.8.5 numpy safetensors sentencepiece

    tests/infer/ctranslate2_greedy.py BITSTILL MODEL.safetensors SOURCE.txt [--speed]

--speed: also tokens a CPU second of both on one thread, beam 1 and 5, CTranslate2 without its loading.
"""
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import time

import ctranslate2
import numpy
import sentencepiece
from ctranslate2.specs import common_spec, transformer_spec
from safetensors.numpy import load_file

NEAR = 1e-3  # between the two best logits, where either may win
MOST_LINES = 0.01


def described(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return json.loads(header["__metadata__"]["bitstill"])["network"]


def processor(tensors, side):
    held = tensors.get("vocabulary." + side)
    held = tensors["vocabulary.joint"] if held is None else held
    return sentencepiece.SentencePieceProcessor(model_proto=held.tobytes())


def put_linear(spec, tensors, *names):
    spec.weight = numpy.concatenate([tensors[name + ".weight"] for name in names])
    biases = [tensors[name + ".bias"] for name in names if name + ".bias" in tensors]
    if biases:
        spec.bias = numpy.concatenate(biases)


def put_norm(spec, tensors, name):
    spec.gamma, spec.beta = tensors[name + ".weight"], tensors[name + ".bias"]


def put_embeddings(spec, table, size):
    (spec.embeddings[0] if isinstance(spec.embeddings, list) else spec.embeddings).weight = table
    angles = numpy.arange(1024)[:, None] * 1e-4 ** (numpy.arange(0, size, 2) / size)
    spec.position_encodings.encodings = numpy.stack(
        [numpy.sin(angles), numpy.cos(angles)], 2).reshape(1024, size).astype("float32")


def put_filter(spec, tensors, name):
    put_norm(spec.layer_norm, tensors, name + ".layer_norm")
    put_linear(spec.linear_0, tensors, name + ".w_1")
    put_linear(spec.linear_1, tensors, name + ".w_2")


def put_own_attention(spec, tensors, name, norm):
    put_norm(spec.layer_norm, tensors, norm)
    put_linear(spec.linear[0], tensors, name + ".linear_query", name + ".linear_keys", name + ".linear_values")
    put_linear(spec.linear[1], tensors, name + ".final_linear")


def put_layers(spec, tensors):
    for number, layer in enumerate(spec.encoder.layer):
        name = f"encoder.transformer.{number}."
        put_own_attention(layer.self_attention, tensors, name + "self_attn", name + "layer_norm")
        put_filter(layer.ffn, tensors, name + "feed_forward")
    for number, layer in enumerate(spec.decoder.layer):
        name = f"decoder.transformer_layers.{number}."
        put_own_attention(layer.self_attention, tensors, name + "self_attn", name + "layer_norm_1")
        put_norm(layer.attention.layer_norm, tensors, name + "layer_norm_2")
        context = name + "context_attn."
        put_linear(layer.attention.linear[0], tensors, context + "linear_query")
        put_linear(layer.attention.linear[1], tensors, context + "linear_keys", context + "linear_values")
        put_linear(layer.attention.linear[2], tensors, context + "final_linear")
        put_filter(layer.ffn, tensors, name + "feed_forward")
    put_norm(spec.encoder.layer_norm, tensors, "encoder.layer_norm")
    put_norm(spec.decoder.layer_norm, tensors, "decoder.layer_norm")


def write_spec(network, tensors, folder):
    spec = transformer_spec.TransformerSpec.from_config(
        (network["layers"], network["decoder_layers"]), network["heads"], pre_norm=True,
        activation=common_spec.Activation.RELU)
    spec.config.layer_norm_epsilon = 1e-6
    table = "{}.embeddings.make_embedding.emb_luts.0.weight".format
    source = tensors[table("encoder")]
    target = tensors.get(table("decoder"), source)
    put_embeddings(spec.encoder, source, network["size"])
    put_embeddings(spec.decoder, target, network["size"])
    put_layers(spec, tensors)
    spec.decoder.projection.weight = tensors.get("generator.weight", target)
    spec.decoder.projection.bias = tensors["generator.bias"]
    for register, side in ((spec.register_source_vocabulary, "source"), (spec.register_target_vocabulary, "target")):
        pieces = processor(tensors, side)
        register([pieces.id_to_piece(i) for i in range(pieces.get_piece_size())])
    spec.validate()
    spec.optimize()
    os.mkdir(folder)
    spec.save(folder)


def ours(bitstill, model, source, *options):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [bitstill, "translate", "--model.file", model, "--input", source, "--run.threads", "1", *options]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return text.splitlines(), sum(after[:2]) - sum(before[:2])


def theirs(translator, pieces, **options):
    start = time.process_time()
    found = translator.translate_batch(pieces, max_batch_size=64, max_decoding_length=500, **options)
    return found, time.process_time() - start


def first_difference(target, ids, line):
    """The step from which on CTranslate2 says something else; `line` may have other pieces for the same text."""
    for step in range(len(ids) + 1):
        if not line.startswith(target.decode(ids[:step])):
            return step - 1
    return len(ids)


def main():
    bitstill, model, source = sys.argv[1:4]
    with tempfile.TemporaryDirectory() as folder:
        exported = os.path.join(folder, "exported.safetensors")
        subprocess.run([bitstill, "export", "--model.file", model, "--out", exported], check=True,
                       stdout=subprocess.DEVNULL)
        tensors = load_file(exported)
        write_spec(described(exported), tensors, os.path.join(folder, "spec"))
        translator = ctranslate2.Translator(os.path.join(folder, "spec"), device="cpu", intra_threads=1,
                                            inter_threads=1, compute_type="float32")
        coder, target = processor(tensors, "source"), processor(tensors, "target")
        lines = [line for line in open(source, encoding="utf-8").read().splitlines() if line.strip()]
        clean = os.path.join(folder, "lines")
        with open(clean, "w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)
        pieces = coder.encode(lines, out_type=str)
        greedy, _ = ours(bitstill, model, clean, "--beam", "1", "--precision", "fp32")
        found, _ = theirs(translator, pieces, beam_size=1, return_logits_vocab=True)
        different = far = 0
        for line, source_pieces, result in zip(greedy, pieces, found):
            most = 3 * len(source_pieces) + 20  # of ours
            ids = [target.piece_to_id(piece) for piece in result.hypotheses[0]][:most]
            if target.decode(ids) == line:
                continue
            different += 1
            logits = [numpy.sort(numpy.asarray(step))[-2:] for step in result.logits[0]]
            step = min(first_difference(target, ids, line), len(logits) - 1)
            if not any(best - second < NEAR for second, best in logits[: step + 1]):
                far += 1
                print(f"far apart: {line!r}, CTranslate2 {target.decode(ids)!r}")
        print(f"{len(lines)} lines, {different} differ, {far} of them without two near logits")
        if "--speed" in sys.argv:
            for beam in (1, 5):
                hypotheses, seconds = theirs(translator, pieces, beam_size=beam)
                tokens = sum(len(result.hypotheses[0]) + 1 for result in hypotheses)
                print(f"beam {beam}: CTranslate2 float32 {tokens / seconds:.0f} target tokens a CPU second")
                for precision in ("fp32", "bf16"):
                    text, seconds = ours(bitstill, model, clean, "--beam", str(beam), "--precision", precision)
                    tokens = sum(len(ids) + 1 for ids in target.encode(text))
                    print(f"beam {beam}: bitstill {precision} {tokens / seconds:.0f}, loading included")
    sys.exit(far > 0 or different > max(1, MOST_LINES * len(lines)))


main()
