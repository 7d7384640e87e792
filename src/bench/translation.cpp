// T3: a compressed file translates.
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <fstream>

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

constexpr double kTarget = 2;
constexpr int64_t kBeams[] = {1, 5};

/// A 4-bit student of random weights, as a run ships it. It never ends a sentence by itself, so
/// that each translation has as many tokens as asked for.
void write_student(const Vocabulary& vocabulary, const std::string& path) {
  auto network =
      make_network(lstm_spec(1, 256, vocabulary.size(), {vocabulary.begin(), vocabulary.end()}));
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

/// `bitstill translate` of the lines that OpenNmt::translate() has.
class Translating {
 public:
  explicit Translating(const SentenceData& data) {
    write_student(data.vocabulary(), model());
    std::vector<std::string> lines = lines_of(data.text() + "/val.en");
    lines.resize(OpenNmt::kLines);
    std::ofstream file(text());
    for (const std::string& line : lines) file << line << "\n";
  }

  double cpu_seconds(int64_t beam, TrainPrecision precision) const {
    return run_program({own_path(), "translate", "--model.file", model(), "--input", text(),
                        "--beam", std::to_string(beam), "--most-tokens",
                        std::to_string(OpenNmt::kTokens), "--precision", word(precision),
                        "--run.threads", "1"})
        .cpu_seconds;
  }

 private:
  std::string model() const { return folder_.path() + "/student.safetensors"; }
  std::string text() const { return folder_.path() + "/text"; }
  TemporaryFolder folder_;
};

/// What each of the programs needs, round by round.
struct Measured {
  int64_t beam;
  TrainPrecision precision;
  Pair rates;                   // target tokens a CPU second: the peer's, ours
  std::vector<double> whole_s;  // of our process, its libraries' start among them
};

std::vector<Measured> measure(const Translating& ours, const BenchOptions& options, bool alone,
                              std::vector<double>* start_s) {
  std::vector<Measured> all;
  for (const int64_t beam : kBeams) {
    all.push_back({beam, TrainPrecision::fp32, {}, {}});
    if (has_bf16()) all.push_back({beam, TrainPrecision::bf16, {}, {}});
  }
  constexpr double tokens = OpenNmt::kLines * OpenNmt::kTokens;
  for (int64_t round = 0; round < options.rounds; ++round) {
    start_s->push_back(run_program({own_path(), "bench", "bare"}).cpu_seconds);
    double theirs[std::size(kBeams)] = {};
    for (std::size_t b = 0; b < std::size(kBeams) && !alone; ++b) {
      theirs[b] = opennmt().translate(kBeams[b]);
    }
    for (Measured& one : all) {
      one.whole_s.push_back(ours.cpu_seconds(one.beam, one.precision));
      one.rates.b.push_back(tokens / (one.whole_s.back() - start_s->back()));
      if (!alone) one.rates.a.push_back(theirs[one.beam == kBeams[0] ? 0 : 1]);
    }
    say(concat("translate: round ", round + 1, " of ", options.rounds));
  }
  return all;
}

}  // namespace

Row bench_translate(const BenchOptions& options) {
  Row row;
  row.against =
      "OpenNMT-py in fp32 (onmt_translate.py), the same lines, in turn; target tokens a CPU "
      "second, "
      "the model's loading included. Neither side counts its libraries' start: OpenNMT-py's count "
      "begins behind its imports, and of our process' seconds those of one that does nothing "
      "(bench bare) are taken off";
  row.conditions = {{"threads", 1},
                    {"rounds", options.rounds},
                    {"lines", OpenNmt::kLines},
                    {"tokens a line", OpenNmt::kTokens},
                    {"pairs", sentence_data().origin()},
                    {"model", "1x256, 4 bits, random weights"}};
  const bool alone = !opennmt().absent().empty();
  if (alone) row.skip = "against the peer: " + opennmt().absent();
  std::vector<double> start_s;
  const Translating ours(sentence_data());
  for (const Measured& one : measure(ours, options, alone, &start_s)) {
    const std::string name =
        concat(one.beam == 1 ? "greedy" : concat("beam ", one.beam), ", ", word(one.precision));
    if (alone) {
      row.conditions["tokens_per_cpu_s"][name] = median(one.rates.b);
      continue;
    }
    row.parts.push_back({name,
                         median(one.rates.ratios()),
                         kTarget,
                         true,
                         {{"tokens_per_cpu_s", {median(one.rates.b), median(one.rates.a)}},
                          {"whole_process_cpu_s", median(one.whole_s)}}});
  }
  row.conditions["bare_process_cpu_s"] = median(start_s);
  return row;
}

}  // namespace bitstill
