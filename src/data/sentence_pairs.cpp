#include "sentence_pairs.hpp"

#include <algorithm>

#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/utf8.hpp"
#include "bitstill/data/archive.hpp"

namespace bitstill {
namespace {

constexpr std::size_t kMostLineBytes = 1'000'000;

bool is_empty(std::string_view text) {
  return split_words(text).empty();
}

[[noreturn]] void refuse_line(const std::string& path, std::size_t line, const std::string& what) {
  throw Error(ExitCode::data, concat(path, ", line ", line + 1, ": ", what));
}

struct Lines {
  std::string path;
  std::vector<std::string_view> lines;
};

}  // namespace

std::optional<PairFault> fault_of(std::string_view sentence) {
  if (sentence.size() > kMostLineBytes) return PairFault::over_1_mb;
  if (sentence.find('\0') != std::string_view::npos) return PairFault::zero_byte;
  if (!is_utf8(sentence)) return PairFault::not_utf8;
  return std::nullopt;
}

std::vector<std::string> comma_parts(const std::string& list) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    parts.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

/// What is known while a list is read.
struct SentencePairs::Reading {
  SentencePairs* all;
  bool whole, skip_bad;
  std::array<int64_t, kPairFaults>* left_out;

  Lines read_lines(const std::string& path) const {
    std::string bytes = read_file(path, ExitCode::data);
    if (bytes.starts_with("\x1f\x8b")) bytes = gunzip(bytes, path, kMostFileBytes);
    if (bytes.starts_with("\xEF\xBB\xBF")) bytes.erase(0, 3);  // the byte-order mark is no text
    all->texts_.push_back(std::move(bytes));
    const std::string_view text = all->texts_.back();
    Lines file{path, {}};
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      file.lines.push_back(text.substr(at, end - at));
      if (file.lines.back().ends_with('\r')) {
        refuse_line(path, file.lines.size() - 1,
                    "ends in CR LF; take the CRs off: sed -i 's/\\r$//' " + path);
      }
      at = end + 1;
    }
    if (file.lines.empty()) throw Error(ExitCode::data, path + ": is empty");
    return file;
  }

  /// Counts a bad line, or refuses it.
  void leave_out(PairFault fault, const Lines& file, std::size_t line) const {
    const bool filtered = fault == PairFault::empty && !whole;
    if (!filtered && !skip_bad) {
      refuse_line(file.path, line,
                  concat("a pair ", fault, "; mend it, or leave out such pairs with --skip-bad"));
    }
    (*left_out)[static_cast<std::size_t>(fault)] += 1;
  }

  void add(const SentencePair& pair, const Lines& sources, const Lines& targets,
           std::size_t line) const {
    for (const auto& [sentence, file] :
         {std::pair{pair.source, &sources}, std::pair{pair.target, &targets}}) {
      std::optional<PairFault> fault = fault_of(sentence);
      if (!fault && is_empty(sentence)) fault = PairFault::empty;
      if (fault) return leave_out(*fault, *file, line);
    }
    all->pairs_.push_back(pair);
  }

  void read_two(const std::string& source, const std::string& target) const {
    const Lines sources = read_lines(source), targets = read_lines(target);
    if (sources.lines.size() != targets.lines.size()) {
      throw Error(ExitCode::data,
                  concat(source, " has ", sources.lines.size(), " lines, ", target, " has ",
                         targets.lines.size(), ": they are not translations of each other"));
    }
    for (std::size_t i = 0; i < sources.lines.size(); ++i) {
      add({sources.lines[i], targets.lines[i]}, sources, targets, i);
    }
  }

  void read_tabs(const std::string& path) const {
    const Lines file = read_lines(path);
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const std::string_view line = file.lines[i];
      const std::size_t tab = line.find('\t');
      if (tab == std::string_view::npos || line.find('\t', tab + 1) != std::string_view::npos) {
        leave_out(PairFault::no_tab, file, i);
      } else {
        add({line.substr(0, tab), line.substr(tab + 1)}, file, file, i);
      }
    }
  }
};

SentencePairs::SentencePairs(const std::string& list, bool whole, bool skip_bad,
                             std::array<int64_t, kPairFaults>* left_out) {
  const std::vector<std::string> files = comma_parts(list);
  const Reading reading{this, whole, skip_bad, left_out};
  if (files.size() == 1) {
    reading.read_tabs(files[0]);
    return;
  }
  if (files.size() % 2 != 0) {
    throw Error(
        ExitCode::settings,
        concat(list, ": give source,target, or one file with a tab in each line; these are ",
               files.size(), " files"));
  }
  for (std::size_t i = 0; i < files.size(); i += 2) reading.read_two(files[i], files[i + 1]);
}

}  // namespace bitstill
