#include <ATen/TensorOperators.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/logsumexp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

#include "bitstill/base/crc32c.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "cache_index.hpp"

namespace bitstill {
namespace {

/// What is kept of logits [n, classes].
struct TopLogits {
  at::Tensor classes;  // [n, k] int64
  at::Tensor values;   // [n, k] fp32
  at::Tensor others;   // [n, 1] fp32: of each other class
};

TopLogits top_logits(const at::Tensor& logits, int64_t top, double temperature) {
  auto [values, classes] = logits.topk(top, 1);
  at::Tensor rest = logits.to(at::kDouble) / temperature;
  rest.scatter_(1, classes, -std::numeric_limits<double>::infinity());
  const auto count = static_cast<double>(logits.size(1) - top);
  const at::Tensor others = (rest.logsumexp(1, true) - std::log(count)) * temperature;
  return {classes.contiguous(), values.contiguous(), others.to(at::kFloat)};
}

/// Sum over the rows of KL(softmax(full / T) || softmax(kept / T)).
double divergence_of(const at::Tensor& full, const TopLogits& top, double temperature) {
  const at::Tensor kept =
      top.others.expand_as(full).contiguous().scatter_(1, top.classes, top.values);
  const at::Tensor log_p = at::log_softmax(full.to(at::kDouble) / temperature, 1);
  const at::Tensor log_q = at::log_softmax(kept.to(at::kDouble) / temperature, 1);
  return (log_p.exp() * (log_p - log_q)).sum().item<double>();
}

void append(std::vector<char>* bytes, const void* from, std::size_t count) {
  const char* const begin = static_cast<const char*>(from);
  bytes->insert(bytes->end(), begin, begin + count);
}

void append_top(std::vector<char>* bytes, const TopLogits& top, int64_t i) {
  const int64_t count = top.classes.size(1);
  const int64_t* const classes = top.classes.const_data_ptr<int64_t>() + i * count;
  for (int64_t k = 0; k < count; ++k) {
    const auto number = static_cast<uint32_t>(classes[k]);
    append(bytes, &number, sizeof number);
  }
  append(bytes, top.values.const_data_ptr<float>() + i * count,
         static_cast<std::size_t>(count) * sizeof(float));
  append(bytes, top.others.const_data_ptr<float>() + i, sizeof(float));
}

/// Whether the file is one that its writer had only begun to make. Error(settings) when it is of
/// another cache.
bool only_begun(const RawFile& file, int64_t bytes, const std::string& digest) {
  if (file.bytes() < static_cast<int64_t>(kDigestBytes)) return true;
  std::string held(kDigestBytes, '\0');
  file.read(held.data(), static_cast<int64_t>(held.size()), 0);
  if (held == std::string(kDigestBytes, '\0')) return true;
  if (held == digest && file.bytes() == bytes) return false;
  throw Error(ExitCode::settings,
              concat(file.path(),
                     ": was begun with other settings, another teacher, other data or "
                     "another number of ranks; give those, or leave out --resume to "
                     "write the cache anew"));
}

/// How many rows at the front are whole.
int64_t whole_rows(const RawFile& file, const CacheFacts& facts, const CacheRange& range,
                   const std::string& digest) {
  constexpr int64_t kAtOnce = 1024;
  const int64_t row_bytes = facts.row_bytes();
  std::vector<char> rows(static_cast<std::size_t>(kAtOnce * row_bytes));
  for (int64_t row = 0; row < range.count; ++row) {
    const int64_t within = row % kAtOnce;
    if (within == 0) {
      file.read(rows.data(), std::min(kAtOnce, range.count - row) * row_bytes,
                static_cast<int64_t>(kDigestBytes) + row * row_bytes);
    }
    const char* const bytes = rows.data() + within * row_bytes;
    if (!is_whole({bytes, static_cast<std::size_t>(row_bytes)}, digest, range.first + row)) {
      return row;
    }
  }
  return range.count;
}

}  // namespace

CacheWriter::CacheWriter(const std::string& folder, const CacheFacts& facts, std::size_t number,
                         const CacheRange& range, bool go_on)
    : facts_(facts), range_(range), digest_(digest_of(facts)) {
  const std::string path = folder + "/" + cache_file_name(number);
  const int64_t bytes = static_cast<int64_t>(kDigestBytes) + range.count * facts.row_bytes();
  if (go_on && std::filesystem::exists(path)) {
    file_ = RawFile::open_to_write(path);
    if (!only_begun(file_, bytes, digest_)) {
      rows_kept_ = whole_rows(file_, facts, range, digest_);
      empty_ = rows_kept_ == 0;
      return;
    }
  }
  try {
    file_ = RawFile::create(path, bytes);
    file_.write(digest_.data(), static_cast<int64_t>(digest_.size()), 0);
  } catch (const Error&) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);  // what it took of a full disk
    throw;
  }
}

CacheWriter::~CacheWriter() {
  std::error_code ignored;
  if (empty_) std::filesystem::remove(file_.path(), ignored);
}

void CacheWriter::add(int64_t first, const at::Tensor& logits) {
  const at::Tensor full = logits.contiguous();
  const int64_t n = full.size(0);
  const at::Tensor bad = at::isfinite(full).all(1).logical_not();
  if (bad.any().item<bool>()) {
    const int64_t row =
        (first + bad.to(at::kInt).argmax().item<int64_t>()) % facts_.rows_of_variant();
    throw Error(ExitCode::numbers,
                concat("the teacher's answer to ", facts_.terms > 0 ? "target token " : "row ", row,
                       " of train", facts_.terms > 0 ? " by length" : "",
                       " is not finite; its weights are damaged"));
  }
  TopLogits top;
  if (facts_.top > 0) {
    top = top_logits(full, facts_.top, facts_.temperature);
    divergence_ += divergence_of(full, top, facts_.temperature);
  }
  const auto row_bytes = static_cast<std::size_t>(facts_.row_bytes());
  std::vector<char> bytes;
  bytes.reserve(static_cast<std::size_t>(n) * row_bytes);
  for (int64_t i = 0; i < n; ++i) {
    const std::size_t begin = bytes.size();
    if (facts_.top > 0) {
      append_top(&bytes, top, i);
    } else {
      append(&bytes, full.const_data_ptr<float>() + i * facts_.classes, row_bytes - 4);
    }
    const uint32_t sum =
        crc32c(bytes.data() + begin, row_bytes - 4, row_sum_seed(digest_, first + i));
    append(&bytes, &sum, sizeof sum);
  }
  file_.write(bytes.data(), static_cast<int64_t>(bytes.size()),
              static_cast<int64_t>(kDigestBytes) + (first - range_.first) * facts_.row_bytes());
  empty_ = false;
}

void CacheWriter::finish() {
  file_.sync();
}

void write_cache_index(const std::string& folder, const CacheFacts& facts,
                       const std::vector<CacheRange>& ranges) {
  const CacheIndex index{facts, ranges};
  open_cache_files(folder, index);  // as every reader will
  sync_folder(folder);
  replace_file(folder + "/" + kCacheIndexFile, cache_index_text(index));
}

}  // namespace bitstill
