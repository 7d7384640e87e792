// A teacher's logits in files, of every training sample in every variant of its augmentation, of a
// pair of sentences for every target token and the end: written once, read in any order by any
// number of ranks and students.
//
//   index.json         what the logits hang on and which files hold them; written last of all
//   logits-00000.bin   64 characters, the index's digest; then rows, without gaps
//
// Over all files in order, row variant * samples + s is of image s of the train split. Sentences
// lie one behind the other, sorted as batches_by_length() does, each with a row a term:
//   all logits          float [classes];                         uint32 sum
//   the k largest       uint32 [k] classes, float [k] logits,
//                       float: a logit for each other class;     uint32 sum
// The last keeps the others' mass in softmax(logits / temperature): it is T log mean exp(t / T).
// `sum` is the CRC-32C of the digest's 64 characters, the row's number (int64) and its bytes, so
// that rows of another cache or another place are found, too. Little-endian.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bitstill/base/json.hpp"
#include "bitstill/data/augmentation.hpp"
#include "bitstill/data/batch.hpp"
#include "bitstill/data/raw_file.hpp"
#include "bitstill/teacher/teacher.hpp"

namespace bitstill {

/// What a cache's logits hang on, and how they are kept.
struct CacheFacts {
  std::string teacher_sha256;   // of the teacher's file
  std::string teacher_samples;  // sha256_of_samples of it
  int64_t teacher_bytes = 0;
  std::string precision;  // precision_name of what the teacher computed in
  Normalization normalization;
  std::string processor;             // the instructions that decide how sums are rounded
  std::string data;                  // fingerprint of the shards' index
  AugmentationOptions augmentation;  // its seed is >= 0
  int64_t variants = 1, samples = 0, classes = 0;
  int64_t terms = 0;       // target tokens and ends of all sentences; 0: images
  int64_t top = 0;         // logits kept of a row; 0: all
  double temperature = 0;  // at which the others keep their mass; 0 where all are kept
  int64_t batch = 1;       // images, or padded tokens, of a forward pass
  /// Its images' logits are also those of other batches (batch_check.hpp). Sentences' are so within
  /// rounding, which is not looked at.
  bool any_batch = true;

  int64_t rows_of_variant() const { return terms > 0 ? terms : samples; }
  int64_t rows() const { return variants * rows_of_variant(); }
  int64_t words() const { return top > 0 ? 2 * top + 1 : classes; }  // of 4 bytes, kept of a row
  int64_t row_bytes() const { return 4 * words() + 4; }
  bool augments() const { return bitstill::augments(augmentation); }
  /// Forward passes over all images, in order, each of `batch` of one variant; a last one that
  /// would be alone joins the pass before.
  int64_t passes() const { return variants * passes_of_variant(); }
  int64_t first_row(int64_t pass) const {
    const int64_t each = passes_of_variant();
    return pass / each * samples + pass % each * batch;
  }

 private:
  int64_t passes_of_variant() const {
    return std::max<int64_t>(1, samples / batch + (samples % batch > 1 ? 1 : 0));
  }
};

/// One file's rows: [first, first + count) of all.
struct CacheRange {
  int64_t first = 0, count = 0;
};
/// "logits-00002.bin"
std::string cache_file_name(std::size_t number);
constexpr const char* kCacheIndexFile = "index.json";

/// One rank's file of a cache. Every method throws Error(storage).
class CacheWriter {
 public:
  /// A new file with all bytes of its rows allocated. The folder exists. go_on: or what an earlier
  /// writer left there; Error(settings) for a file of another cache or range.
  CacheWriter(const std::string& folder, const CacheFacts& facts, std::size_t number,
              const CacheRange& range, bool go_on = false);
  ~CacheWriter();  // removes a file without rows
  CacheWriter(const CacheWriter&) = delete;
  CacheWriter& operator=(const CacheWriter&) = delete;

  /// How many rows at the front are there already, each by its sum; those from any of them on may
  /// be added again.
  int64_t rows_kept() const { return rows_kept_; }
  /// logits [n, classes] fp32 on the CPU, of rows first, first + 1, ... of all, within the range.
  /// Error(numbers) when one is not finite.
  void add(int64_t first, const at::Tensor& logits);
  /// Sum over the rows of KL(softmax(full / T) || softmax(kept / T)); 0 where all are kept.
  double divergence() const { return divergence_; }
  /// On the disk for good.
  void finish();

 private:
  const CacheFacts facts_;
  const CacheRange range_;
  const std::string digest_;
  RawFile file_;
  int64_t rows_kept_ = 0;
  bool empty_ = true;
  double divergence_ = 0;
};

/// The last word, once all files are finished: from now on `folder` holds a cache. ranges: of each
/// file in order; those without rows have no file. Error(data) for a file that is not as it was
/// written (the folder is not shared by all ranks), Error(storage).
void write_cache_index(const std::string& folder, const CacheFacts& facts,
                       const std::vector<CacheRange>& ranges);

/// A file open for reading, and its rows.
struct CacheFile {
  RawFile file;
  CacheRange range;
};

/// A cache open for reading; safe to use from several threads.
class LogitCache {
 public:
  /// Error(data) naming the file: no cache, one that was not written to its end, damaged, of
  /// another version, with files of another cache.
  explicit LogitCache(const std::string& folder);

  const std::string& folder() const { return folder_; }
  bool is_of(const CacheFacts& facts) const;  // exactly
  const CacheFacts& facts() const { return facts_; }
  const std::string& digest() const { return digest_; }  // of the facts: names the cache
  int64_t bytes() const { return facts_.rows() * facts_.row_bytes(); }

  /// Before a cache of sentences is read: the lengths of all in train. Error(data) where they are
  /// not those it was written of.
  void set_lengths(std::span<const SentenceLengths> lengths);
  /// [rows, words] as they were kept: a row of each image, those of each sentence's terms.
  /// Error(data) naming file and row where bytes were changed, and for a sample or variant that it
  /// does not hold.
  std::vector<float> read(int64_t variant, std::span<const int64_t> samples) const;
  /// Logits [n, classes] of kept rows [n, words], on their device.
  at::Tensor logits(const at::Tensor& kept) const;

 private:
  /// Rows of a variant.
  CacheRange rows_of(int64_t sample) const;
  /// Into *bytes; they lie in one file.
  void read_rows(const CacheRange& rows, std::vector<char>* bytes) const;

  std::string folder_;
  CacheFacts facts_;
  std::string digest_;
  std::vector<CacheFile> files_;
  std::vector<CacheRange> terms_;  // of each sentence
};

/// Error(settings) naming the first fact that is not what `wanted` says, with both values. What
/// `wanted` leaves empty is not compared.
void require_fits(const LogitCache& cache, const CacheFacts& wanted);

/// Answers from `cache`, whatever a question's x. Needs no network.
std::unique_ptr<Teacher> make_cached_teacher(std::unique_ptr<LogitCache> cache,
                                             const at::Device& device);

}  // namespace bitstill
