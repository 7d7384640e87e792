#include "bitstill/data/split_rule.hpp"

#include <algorithm>
#include <charconv>

#include "bitstill/base/error.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr int kValidation = static_cast<int>(Split::validation);
constexpr int kTest = static_cast<int>(Split::test);

/// Which splits the source itself has.
std::array<bool, kSplits> own_splits(const ImageSource& source) {
  std::array<bool, kSplits> own{};
  for (const SourceItem& item : source.items) {
    if (item.split) own[static_cast<std::size_t>(*item.split)] = true;
  }
  return own;
}

/// How many of a class's `held` images are cut for a split of `total` rows; by the default a tenth,
/// at least 1, but never what leaves fewer than one image after `taken`.
int64_t share(int64_t total, int64_t classes, int64_t label, int64_t held, int64_t taken) {
  if (total >= 0) return total / classes + (label < total % classes ? 1 : 0);
  return std::max<int64_t>(0, std::min(std::max<int64_t>(1, held / 10), held - taken - 1));
}

std::string count_words(int64_t total, const char* split) {
  return total >= 0 ? concat(total, " to ", split, ", spread evenly over the classes")
                    : concat("a tenth of each class (at least 1) to ", split);
}

std::string words(const std::array<bool, kSplits>& own, int64_t validation, int64_t test) {
  std::string kept;
  if (own[kTest]) kept = own[kValidation] ? "train, validation and test" : "train and test";
  if (kept.empty() && own[kValidation]) kept = "train and validation";
  std::string rule = kept.empty() ? "" : kept + " are the source's own; ";
  if (own[kTest] && own[kValidation]) return rule + "nothing was cut";
  rule +=
      "ranked within each class by the SHA-256 of the pixels (equal images in the source's "
      "order), cut from the front: ";
  if (!own[kTest]) rule += count_words(test, "test") + ", ";
  if (!own[kTest] && !own[kValidation]) rule += "then ";
  if (!own[kValidation]) rule += count_words(validation, "validation") + ", ";
  return rule + "the rest to train";
}

}  // namespace

ImageDigest image_digest(const uint8_t* pixels, int64_t bytes) {
  const std::string hex =
      sha256_hex({reinterpret_cast<const char*>(pixels), static_cast<std::size_t>(bytes)});
  ImageDigest digest{};
  std::from_chars(hex.data(), hex.data() + 16, digest[0], 16);
  std::from_chars(hex.data() + 16, hex.data() + 32, digest[1], 16);
  return digest;
}

SplitResult split_images(const ImageSource& source,
                         const std::vector<std::optional<ImageDigest>>& digests, int64_t validation,
                         int64_t test) {
  const std::array<bool, kSplits> own = own_splits(source);
  if ((own[kTest] && test > 0) || (own[kValidation] && validation > 0)) {
    throw Error(ExitCode::settings,
                concat(own[kTest] && test > 0 ? "--test: the source has a test set"
                                              : "--validation: the source has a validation set",
                       " of its own, which is kept whole; leave the option out"));
  }
  const auto classes = static_cast<int64_t>(source.classes.size());
  SplitResult result;
  result.split.resize(source.items.size());
  std::vector<std::vector<std::size_t>> free(source.classes.size());
  for (std::size_t i = 0; i < source.items.size(); ++i) {
    const SourceItem& item = source.items[i];
    if (!digests[i]) continue;
    result.split[i] = item.split.value_or(Split::train);
    if (result.split[i] == Split::train) free[static_cast<std::size_t>(item.label)].push_back(i);
  }
  for (int64_t label = 0; label < classes; ++label) {
    std::vector<std::size_t>& ranked = free[static_cast<std::size_t>(label)];
    std::stable_sort(ranked.begin(), ranked.end(),
                     [&](std::size_t a, std::size_t b) { return *digests[a] < *digests[b]; });
    const auto held = static_cast<int64_t>(ranked.size());
    const int64_t to_test = own[kTest] ? 0 : share(test, classes, label, held, 0);
    const int64_t to_validation =
        own[kValidation] ? 0 : share(validation, classes, label, held, to_test);
    if (held > 0 && to_test + to_validation >= held) {
      throw Error(ExitCode::settings,
                  concat("class ", source.classes[static_cast<std::size_t>(label)], " has ", held,
                         " images to cut ", to_test, " for test and ", to_validation,
                         " for validation from, and none would be left for train; ask for fewer by "
                         "--test and --validation"));
    }
    for (int64_t k = 0; k < to_test + to_validation && k < held; ++k) {
      result.split[ranked[static_cast<std::size_t>(k)]] =
          k < to_test ? Split::test : Split::validation;
    }
  }
  result.rule = words(own, validation, test);
  return result;
}

}  // namespace bitstill
