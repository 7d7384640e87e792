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

/// Numbers and texts one behind the other, as ranks send them to rank 0.
class TextWriter {
 public:
  template <class Number>
  void add(Number value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void add_text(const std::string& text) {
    add(static_cast<int64_t>(text.size()));
    bytes_ += text;
  }
  std::string take() && { return std::move(bytes_); }

 private:
  std::string bytes_;
};

class TextReader {
 public:
  explicit TextReader(const std::string& bytes) : rest_(bytes) {}
  bool done() const { return rest_.empty(); }
  template <class Number>
  Number take() {
    Number value;
    std::memcpy(&value, rest_.data(), sizeof value);
    rest_.remove_prefix(sizeof value);
    return value;
  }
  std::string take_text() {
    const auto size = static_cast<std::size_t>(take<int64_t>());
    std::string text(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return text;
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

class Translator {
 public:
  Translator(StepDecoder& decoder, const VocabularyPair& vocabularies,
             const std::vector<std::string>& lines, const TranslateOptions& options)
      : decoder_(decoder), vocabularies_(vocabularies), lines_(lines), options_(options) {}

  /// Appends what take_answers() reads.
  void answer(const std::vector<int64_t>& batch, TextWriter* answers) const {
    const auto found = hypotheses(batch);
    for (std::size_t k = 0; k < batch.size(); ++k) {
      answers->add(batch[k]);
      answers->add(static_cast<int64_t>(found[k].size()));
      for (const Hypothesis& one : found[k]) {
        answers->add(one.score);
        answers->add(one.normalized);
        answers->add_text(as_line(vocabularies_.target->decode(one.ids)));
      }
    }
  }

 private:
  std::vector<std::vector<Hypothesis>> hypotheses(const std::vector<int64_t>& batch) const {
    Batch sentences;
    for (const int64_t line : batch) {
      const std::vector<int32_t> ids = vocabularies_.source->encode(text_of(line));
      sentences.rows.push_back(line);
      sentences.tokens.insert(sentences.tokens.end(), ids.begin(), ids.end());
      sentences.lengths.push_back({static_cast<int32_t>(ids.size()), 0});
    }
    const TargetEnds ends{vocabularies_.target->begin(), vocabularies_.target->end()};
    return search(decoder_, to_tokens(sentences, ends, options_.device), ends, options_.search);
  }
  const std::string& text_of(int64_t line) const { return lines_[static_cast<std::size_t>(line)]; }

  StepDecoder& decoder_;
  const VocabularyPair& vocabularies_;
  const std::vector<std::string>& lines_;
  const TranslateOptions& options_;
};

void take_answers(const std::string& bytes, std::vector<std::vector<Translation>>* lines) {
  for (TextReader reader(bytes); !reader.done();) {
    auto& line = (*lines)[static_cast<std::size_t>(reader.take<int64_t>())];
    line.resize(static_cast<std::size_t>(reader.take<int64_t>()));
    for (Translation& one : line) {
      one.score = reader.take<double>();
      one.normalized = reader.take<double>();
      one.text = reader.take_text();
    }
  }
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

std::vector<std::vector<Translation>> translate(StepDecoder& decoder,
                                                const VocabularyPair& vocabularies,
                                                const std::vector<std::string>& lines,
                                                const TranslateOptions& options,
                                                Communicator& comm) {
  const auto batches =
      translation_batches(token_counts(*vocabularies.source, lines, comm), options);
  const auto all = static_cast<int64_t>(batches.size());
  const Translator translator(decoder, vocabularies, lines, options);
  TextWriter mine;
  agree(comm, [&] {
    const int64_t own = (all - comm.rank() + comm.world() - 1) / comm.world();
    for (int64_t b = comm.rank(), done = 0; b < all; b += comm.world(), ++done) {
      if (options.progress) options.progress(done, own);
      translator.answer(batches[static_cast<std::size_t>(b)], &mine);
    }
    if (options.progress) options.progress(own, own);
  });
  const std::vector<std::string> answers = gather_text(comm, std::move(mine).take());
  if (comm.rank() != 0) return {};
  std::vector<std::vector<Translation>> translations(lines.size(), {Translation()});
  for (const std::string& bytes : answers) take_answers(bytes, &translations);
  return translations;
}

}  // namespace bitstill
