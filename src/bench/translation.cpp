// T3, T4: a compressed file translates.
#include <ATen/core/grad_mode.h>

#include <array>
#include <fstream>
#include <functional>
#include <map>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/infer/model_vocabulary.hpp"
#include "bitstill/train/ship.hpp"
#include "opennmt.hpp"
#include "peer_sweep.hpp"
#include "rows.hpp"

namespace bitstill {
namespace {

constexpr int64_t kBeams[] = {1, 5};
using Rates = std::array<double, std::size(kBeams)>;  // target tokens a CPU second

NetworkSpec transformer_spec(const Vocabulary& vocabulary) {
  NetworkSpec spec;
  spec.kind = "transformer";
  spec.size = 256;
  spec.heads = 8;
  spec.filter = 1536;
  spec.layers = 6;
  spec.decoder_layers = 2;
  spec.source_pieces = spec.classes = vocabulary.size();
  spec.ends = {vocabulary.begin(), vocabulary.end()};
  return spec;
}

/// A 4-bit student of random weights, as a run ships it. It never ends a sentence by itself, so
/// that each translation has as many tokens as asked for.
void write_student(const NetworkSpec& spec, const Vocabulary& vocabulary, const std::string& path) {
  auto network = make_network(spec);
  initialize(*network, 1);
  {
    const at::NoGradGuard no_gradient;
    network->parameters().back()->value[vocabulary.end()].fill_(-100);  // the head's bias
  }
  QuantOptions quant;
  quant.method = QuantMethod::uniform;
  const Json about = describe_model("weights", network->spec(), {});
  Student student(std::move(network), quant, 1, at::kCPU);
  student.attach(vocabulary_tensors(vocabulary, vocabulary));
  write_model_file(path, student_file(about, student, 0));
}

/// The first OpenNmt::kLines lines of val.en.
void write_lines(const SentenceData& data, const std::string& path) {
  std::vector<std::string> lines = lines_of(data.text() + "/val.en");
  lines.resize(OpenNmt::kLines);
  std::ofstream file(path);
  for (const std::string& line : lines) file << line << "\n";
}

/// `bitstill translate` of those lines.
class Translating {
 public:
  Translating(const NetworkSpec& spec, const SentenceData& data) {
    write_student(spec, data.vocabulary(), model());
    write_lines(data, text());
    std::ofstream empty(nothing());
  }

  double cpu_seconds(int64_t beam, TrainPrecision precision) const {
    return seconds_of(text(), beam, precision);
  }
  /// Of a process that loads the model and translates nothing.
  double loading_s(TrainPrecision precision) const { return seconds_of(nothing(), 1, precision); }

 private:
  double seconds_of(const std::string& input, int64_t beam, TrainPrecision precision) const {
    return run_program({own_path(), "translate", "--model.file", model(), "--input", input,
                        "--beam", std::to_string(beam), "--most-tokens",
                        std::to_string(OpenNmt::kTokens), "--precision", word(precision),
                        "--run.threads", "1"})
        .cpu_seconds;
  }
  std::string model() const { return folder_.path() + "/student.safetensors"; }
  std::string text() const { return folder_.path() + "/text"; }
  std::string nothing() const { return folder_.path() + "/nothing"; }
  TemporaryFolder folder_;
};

/// What each of the programs needs, round by round.
struct Measured {
  int64_t beam;
  TrainPrecision precision;
  Pair rates;                                  // target tokens a CPU second: the peer's, ours
  std::vector<double> whole_s, not_counted_s;  // of our process
};

/// What of our process' seconds is not counted: those of one that does nothing, or that loads the
/// model and has no text.
enum class NotCounted { libraries, loading };

/// `peer`: its rates of a round, where it is there.
std::vector<Measured> measure(const Translating& ours, const BenchOptions& options,
                              NotCounted not_counted, const std::function<Rates()>& peer) {
  std::vector<Measured> all;
  for (const int64_t beam : kBeams) {
    all.push_back({beam, TrainPrecision::fp32, {}, {}, {}});
    if (has_bf16()) all.push_back({beam, TrainPrecision::bf16, {}, {}, {}});
  }
  constexpr double tokens = OpenNmt::kLines * OpenNmt::kTokens;
  for (int64_t round = 0; round < options.rounds; ++round) {
    const double bare_s = run_program({own_path(), "bench", "bare"}).cpu_seconds;
    const Rates theirs = peer ? peer() : Rates{};
    for (Measured& one : all) {
      one.not_counted_s.push_back(not_counted == NotCounted::loading ? ours.loading_s(one.precision)
                                                                     : bare_s);
      one.whole_s.push_back(ours.cpu_seconds(one.beam, one.precision));
      one.rates.b.push_back(tokens / (one.whole_s.back() - one.not_counted_s.back()));
      if (peer) one.rates.a.push_back(theirs[one.beam == kBeams[0] ? 0 : 1]);
    }
    say(concat("translate: round ", round + 1, " of ", options.rounds));
  }
  return all;
}

struct Contest {
  NetworkSpec spec;
  std::string model;   // in words
  std::string absent;  // why the peer is
  NotCounted not_counted;
  double fp32_target, bf16_target;  // 0: none, and the rate is only told
};

Row compare(const BenchOptions& options, const Contest& contest,
            const std::function<Rates()>& peer) {
  Row row;
  row.conditions = {{"threads", 1},
                    {"rounds", options.rounds},
                    {"lines", OpenNmt::kLines},
                    {"tokens a line", OpenNmt::kTokens},
                    {"pairs", sentence_data().origin()},
                    {"model", contest.model}};
  const bool alone = !contest.absent.empty();
  if (alone) row.skip = "against the peer: " + contest.absent;
  const Translating ours(contest.spec, sentence_data());
  for (const Measured& one : measure(ours, options, contest.not_counted, alone ? nullptr : peer)) {
    const std::string name =
        concat(one.beam == 1 ? "greedy" : concat("beam ", one.beam), ", ", word(one.precision));
    const double target =
        one.precision == TrainPrecision::fp32 ? contest.fp32_target : contest.bf16_target;
    if (one.rates.a.empty() || target == 0) {
      row.conditions["tokens_per_cpu_s"][name] = median(one.rates.b);
      continue;
    }
    row.parts.push_back({name,
                         median(one.rates.ratios()),
                         target,
                         true,
                         {{"tokens_per_cpu_s", {median(one.rates.b), median(one.rates.a)}},
                          {"whole_process_cpu_s", median(one.whole_s)},
                          {"not_counted_cpu_s", median(one.not_counted_s)}}});
  }
  return row;
}

/// CTranslate2's rates of a Transformer of its own random tensors, of the same sizes.
class CTranslate2 {
 public:
  CTranslate2() : peer_("ct2_speed.py") {
    if (!peer_.absent().empty()) return;
    write_lines(sentence_data(), folder_.path() + "/lines");
  }
  std::string absent() const { return peer_.absent(); }
  Rates round() {
    const std::string& folder = folder_.path();
    const std::string output =
        peer_.run_in(folder, {sentence_data().vocabulary_file(), "lines", folder}).output;
    const auto rate = [&](const char* precision, int64_t beam) {
      return peer_rates(concat("256 enc6 dec2 ", precision, " beam ", beam), output).front();
    };
    for (const int64_t beam : kBeams) int8_[concat("beam ", beam)].push_back(rate("int8", beam));
    return {rate("float32", kBeams[0]), rate("float32", kBeams[1])};
  }
  /// Of the rounds so far.
  Json int8() const {
    Json medians;
    for (const auto& [beam, rates] : int8_) medians[beam] = median(rates);
    return medians;
  }

 private:
  TemporaryFolder folder_;
  Peer peer_;
  std::map<std::string, std::vector<double>> int8_;
};

}  // namespace

Row bench_translate(const BenchOptions& options) {
  const Vocabulary& vocabulary = sentence_data().vocabulary();
  const Contest contest = {
      lstm_spec(1, 256, vocabulary.size(), {vocabulary.begin(), vocabulary.end()}),
      "1x256, 4 bits, random weights",
      opennmt().absent(),
      NotCounted::libraries,
      2,
      2};
  Row row = compare(options, contest, [] {
    return Rates{opennmt().translate(kBeams[0]), opennmt().translate(kBeams[1])};
  });
  row.against =
      "OpenNMT-py in fp32 (onmt_translate.py), the same lines, in turn; target tokens a CPU "
      "second, the model's loading included. Neither side counts its libraries' start: "
      "OpenNMT-py's count begins behind its imports, and of our process' seconds those of one "
      "that does nothing (bench bare) are taken off";
  return row;
}

Row bench_translate_transformer(const BenchOptions& options) {
  CTranslate2 peer;
  const Contest contest = {transformer_spec(sentence_data().vocabulary()),
                           "Transformer 256/1536/8, 6+2 layers, 4 bits, random weights",
                           peer.absent(),
                           NotCounted::loading,
                           0,
                           1.2};
  Row row = compare(options, contest, [&] { return peer.round(); });
  row.against =
      "CTranslate2 in float32 (ct2_speed.py), the same lines, in turn; target tokens a CPU second, "
      "both without the model's loading: of our process' seconds those of one that loads it and "
      "has no lines are taken off";
  if (peer.absent().empty()) row.conditions["peer_int8_tokens_per_cpu_s"] = peer.int8();
  return row;
}

}  // namespace bitstill
