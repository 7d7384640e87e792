#include "bitstill/infer/translate.hpp"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/gather_text.hpp"
#include "bitstill/data/convert_text.hpp"

namespace bitstill {
namespace {

/// Numbers one behind the other, as ranks send them to rank 0.
class NumberWriter {
 public:
  template <class Number>
  void add(Number value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  std::string take() && { return std::move(bytes_); }

 private:
  std::string bytes_;
};

class NumberReader {
 public:
  explicit NumberReader(const std::string& bytes) : rest_(bytes) {}
  bool done() const { return rest_.empty(); }
  template <class Number>
  Number take() {
    Number value;
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }

 private:
  std::string_view rest_;
};

/// Tokens of each line on every rank, of which each counts a part.
std::vector<int64_t> token_counts(const Vocabulary& vocabulary,
                                  const std::vector<std::string>& lines, Communicator& comm) {
  std::vector<int64_t> counts(lines.size());
  agree(comm, [&] {
    for (auto i = static_cast<std::size_t>(comm.rank()); i < lines.size();
         i += static_cast<std::size_t>(comm.world())) {
      counts[i] = static_cast<int64_t>(vocabulary.encode(lines[i]).size());
    }
  });
  comm.all_reduce(counts.data(), static_cast<int64_t>(counts.size()), ElementType::i64);
  return counts;
}

/// A vocabulary of bytes can spell what would end a line or divide its columns.
std::string as_line(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\r' || c == '\t' || c == '\0') c = ' ';
  }
  return text;
}

/// Appends the hypotheses of `batch`, as take_answers() reads them.
void answer(const std::vector<int64_t>& batch, const std::vector<std::vector<Hypothesis>>& found,
            NumberWriter* answers) {
  for (std::size_t k = 0; k < batch.size(); ++k) {
    answers->add(batch[k]);
    answers->add(static_cast<int64_t>(found[k].size()));
    for (const Hypothesis& one : found[k]) {
      answers->add(one.score);
      answers->add(one.normalized);
      answers->add(static_cast<int64_t>(one.ids.size()));
      for (const int32_t id : one.ids) answers->add(id);
    }
  }
}

void take_answers(const std::string& bytes, std::vector<std::vector<Hypothesis>>* sentences) {
  for (NumberReader reader(bytes); !reader.done();) {
    auto& sentence = (*sentences)[static_cast<std::size_t>(reader.take<int64_t>())];
    sentence.resize(static_cast<std::size_t>(reader.take<int64_t>()));
    for (Hypothesis& one : sentence) {
      one.score = reader.take<double>();
      one.normalized = reader.take<double>();
      one.ids.resize(static_cast<std::size_t>(reader.take<int64_t>()));
      for (int32_t& id : one.ids) id = reader.take<int32_t>();
    }
  }
}

Batch sentences_of(const std::vector<int64_t>& numbers, const TokensOf& tokens_of) {
  Batch sentences;
  for (const int64_t number : numbers) {
    const std::vector<int32_t> ids = tokens_of(number);
    sentences.rows.push_back(number);
    sentences.tokens.insert(sentences.tokens.end(), ids.begin(), ids.end());
    sentences.lengths.push_back({static_cast<int32_t>(ids.size()), 0});
  }
  return sentences;
}

}  // namespace

std::vector<std::string> sentence_lines(std::string_view text, const std::string& where) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (const auto fault = fault_of(line)) {
      throw Error(ExitCode::data,
                  concat(where, ", line ", lines.size() + 1, ": a line ", *fault, "; mend it"));
    }
    lines.emplace_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::vector<std::vector<int64_t>> translation_batches(std::span<const int64_t> lengths,
                                                      const TranslateOptions& options) {
  const auto length = [&](int64_t i) { return lengths[static_cast<std::size_t>(i)]; };
  std::vector<int64_t> order(lengths.size());
  std::iota(order.begin(), order.end(), 0);
  std::erase_if(order, [&](int64_t i) { return length(i) == 0; });
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return length(a) > length(b); });
  std::vector<std::vector<int64_t>> batches;
  for (const int64_t i : order) {
    const bool fits = [&] {
      if (batches.empty()) return false;
      const auto& open = batches.back();
      const int64_t rows = (static_cast<int64_t>(open.size()) + 1) * options.search.beam;
      return rows <= options.batch_rows && rows * length(open.front()) <= options.batch_tokens;
    }();
    if (!fits) batches.emplace_back();
    batches.back().push_back(i);
  }
  return batches;
}

std::vector<std::vector<Hypothesis>> translate_tokens(StepDecoder& decoder, const TargetEnds& ends,
                                                      std::span<const int64_t> lengths,
                                                      const TokensOf& tokens_of,
                                                      const TranslateOptions& options,
                                                      Communicator& comm) {
  const auto batches = translation_batches(lengths, options);
  const auto all = static_cast<int64_t>(batches.size());
  NumberWriter mine;
  agree(comm, [&] {
    const int64_t own = (all - comm.rank() + comm.world() - 1) / comm.world();
    for (int64_t b = comm.rank(), done = 0; b < all; b += comm.world(), ++done) {
      if (options.progress) options.progress(done, own);
      const auto& batch = batches[static_cast<std::size_t>(b)];
      const Tokens tokens = to_tokens(sentences_of(batch, tokens_of), ends, options.device);
      auto found = search(decoder, tokens, ends, options.search);
      for (std::size_t k = 0; options.refine && k < batch.size(); ++k) {
        options.refine(batch[k], &found[k]);
      }
      answer(batch, found, &mine);
    }
    if (options.progress) options.progress(own, own);
  });
  const std::vector<std::string> answers = gather_text(comm, std::move(mine).take());
  if (comm.rank() != 0) return {};
  std::vector<std::vector<Hypothesis>> sentences(lengths.size(), {Hypothesis()});
  for (const std::string& bytes : answers) take_answers(bytes, &sentences);
  return sentences;
}

std::vector<std::vector<Translation>> translate(StepDecoder& decoder,
                                                const VocabularyPair& vocabularies,
                                                const std::vector<std::string>& lines,
                                                const TranslateOptions& options,
                                                Communicator& comm) {
  const Vocabulary &source = *vocabularies.source, &target = *vocabularies.target;
  const auto found = translate_tokens(
      decoder, {target.begin(), target.end()}, token_counts(source, lines, comm),
      [&](int64_t line) { return source.encode(lines[static_cast<std::size_t>(line)]); }, options,
      comm);
  std::vector<std::vector<Translation>> translations;
  for (const std::vector<Hypothesis>& hypotheses : found) {
    translations.emplace_back();
    for (const Hypothesis& one : hypotheses) {
      translations.back().push_back({as_line(target.decode(one.ids)), one.score, one.normalized});
    }
  }
  return translations;
}

}  // namespace bitstill
