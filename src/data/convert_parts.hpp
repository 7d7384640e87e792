// What converting to raw and to JPEG shards have in common.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bitstill/data/convert.hpp"
#include "bitstill/data/image_source.hpp"
#include "bitstill/data/shard_index.hpp"
#include "bitstill/data/split_rule.hpp"

namespace bitstill {

constexpr int64_t kConvertBlock = 512;  // images between two looks at the results

using Digests = std::vector<std::optional<ImageDigest>>;

/// work(i) for i in [begin, end) on all cores over `ranks` of this host.
void on_all_cores(int64_t begin, int64_t end, int64_t ranks,
                  const std::function<void(int64_t)>& work);

/// What file systems and memory refuse becomes an Error naming the file or `source`.
void with_file_errors(const std::string& source, const std::function<void()>& work);

/// What no image of the train set shows cannot be learned: a mistake in the source, most often.
/// digests: of the images that could be read, or null before any was. Error(data).
void require_images_of_classes(const ImageSource& source, const ShardOptions& options,
                               const Digests* digests);

/// Error(data) naming them, unless they are to be left out.
void require_readable(const std::vector<std::string>& skipped, const ShardOptions& options,
                      std::size_t images);

SplitResult split_by(const ShardOptions& options, const ImageSource& source,
                     const Digests& digests);

/// Items in the order in which their rows are written: the source's, or that of their digests,
/// which mixes the classes.
std::vector<int64_t> row_order(const ImageSource& source, const SplitResult& splits,
                               const Digests& digests);

/// Validation and test rows whose bytes also stand in train.
int64_t count_twins(const SplitResult& splits, const Digests& digests);

/// What is known of a conversion once its images are split.
void fill_report(const ShardOptions& options, const ImageSource& source, const SplitResult& splits,
                 ConvertReport* report);

/// Name, classes, source and licence; the splits' rule and, if asked for, ImageNet's normalization.
ShardIndex describe(const ShardOptions& options, const ImageSource& source,
                    const SplitResult& splits);

}  // namespace bitstill
