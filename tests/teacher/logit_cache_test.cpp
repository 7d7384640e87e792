#include "bitstill/teacher/logit_cache.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>

#include "../base/scratch_folder.hpp"
#include "../base/thrown_error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/json.hpp"
#include "bitstill/base/sha256.hpp"

namespace bitstill {
namespace {

CacheFacts facts_of(int64_t variants, int64_t samples, int64_t classes, int64_t top = 0) {
  CacheFacts facts;
  facts.teacher_sha256 = std::string(64, 'a');
  facts.teacher_samples = std::string(64, 'b');
  facts.precision = "fp32";
  facts.normalization = {{0.5f}, {0.25f}};
  facts.processor = "AVX2";
  facts.data = std::string(64, 'd');
  facts.augmentation = {variants > 1 ? 2 : 0, false, variants, 7};
  facts.variants = variants;
  facts.samples = samples;
  facts.classes = classes;
  facts.top = top;
  facts.temperature = top > 0 ? 2 : 0;
  facts.batch = 4;
  return facts;
}

/// Rows as `files` ranks cut them, their index last. Returns the divergence of a row.
double write_cache(const std::string& folder, const CacheFacts& facts, const at::Tensor& logits,
                   int64_t files) {
  std::filesystem::create_directories(folder);
  std::vector<CacheRange> ranges;
  double divergence = 0;
  for (int64_t i = 0; i < files; ++i) {
    const int64_t begin = facts.passes() * i / files, end = facts.passes() * (i + 1) / files;
    const int64_t first = facts.first_row(begin);
    ranges.push_back({first, facts.first_row(end) - first});
    if (ranges.back().count == 0) continue;
    CacheWriter writer(folder, facts, static_cast<std::size_t>(i), ranges.back());
    for (int64_t pass = begin; pass < end; ++pass) {
      const int64_t row = facts.first_row(pass), count = facts.first_row(pass + 1) - row;
      writer.add(row, logits.narrow(0, row, count));
    }
    divergence += writer.divergence();
    writer.finish();
  }
  write_cache_index(folder, facts, ranges);
  return divergence / static_cast<double>(facts.rows());
}

at::Tensor read(const LogitCache& cache, int64_t variant, const std::vector<int64_t>& samples) {
  std::vector<float> kept = cache.read(variant, samples);
  const int64_t words = cache.facts().words();
  return cache.logits(at::tensor(kept).view({-1, words})).contiguous();
}

void flip_bit(const std::string& path, std::size_t at) {
  std::string bytes = read_file(path, ExitCode::data);
  bytes.at(at) = static_cast<char>(bytes[at] ^ 4);
  replace_file(path, bytes);
}

TEST(CacheFacts, PassesCoverAllRowsWithinVariantsAndLeaveNoSampleAlone) {
  for (const int64_t samples : {2, 3, 4, 5, 8, 9, 23}) {
    for (const int64_t variants : {1, 3}) {
      const CacheFacts facts = facts_of(variants, samples, 5);
      int64_t row = 0;
      for (int64_t pass = 0; pass < facts.passes(); ++pass) {
        EXPECT_EQ(facts.first_row(pass), row);
        const int64_t end = facts.first_row(pass + 1);
        EXPECT_GE(end - row, 2);
        EXPECT_LE(end - row, facts.batch + 1);
        EXPECT_EQ(row / samples, (end - 1) / samples);
        row = end;
      }
      EXPECT_EQ(row, facts.rows());
    }
  }
}

TEST(LogitCache, EveryRowComesBackWhateverTheFilesAndTheOrder) {
  const ScratchFolder scratch;
  const CacheFacts facts = facts_of(3, 23, 5);
  const at::Tensor logits = at::randn({facts.rows(), 5});
  for (const int64_t files : {1, 2, 4, 40}) {  // 40: more than passes
    const std::string folder = scratch / std::to_string(files);
    EXPECT_EQ(write_cache(folder, facts, logits, files), 0);
    const LogitCache cache(folder);
    EXPECT_EQ(cache.facts().variants, 3);
    EXPECT_EQ(cache.bytes(), 3 * 23 * 24);
    std::vector<int64_t> samples(23);
    std::iota(samples.rbegin(), samples.rend(), 0);  // backwards
    samples.push_back(11);                           // and one again
    for (int64_t variant = 0; variant < 3; ++variant) {
      const at::Tensor wanted = logits.narrow(0, variant * 23, 23).flip({0});
      const at::Tensor got = read(cache, variant, samples);
      EXPECT_TRUE(at::equal(got.narrow(0, 0, 23), wanted));
      EXPECT_TRUE(at::equal(got[23], logits[variant * 23 + 11]));
    }
    EXPECT_TRUE(holds(error_of(ExitCode::data, [&] { read(cache, 3, {0}); }), "3 variants"));
    EXPECT_TRUE(holds(error_of(ExitCode::data, [&] { read(cache, 0, {23}); }), "sample 23"));
    EXPECT_TRUE(holds(error_of(ExitCode::data, [&] { read(cache, 0, {-1}); }), "sample -1"));
  }
}

TEST(LogitCache, TheTeacherAnswersFromItAheadAndAtOnce) {
  const ScratchFolder scratch;
  const CacheFacts facts = facts_of(2, 9, 5);
  const at::Tensor logits = at::randn({facts.rows(), 5});
  write_cache(scratch / "c", facts, logits, 2);
  const auto teacher = make_cached_teacher(std::make_unique<LogitCache>(scratch / "c"), at::kCPU);
  ASSERT_TRUE(teacher->traits().cache);
  EXPECT_EQ(teacher->traits().normalization, facts.normalization);
  Batch batch;
  batch.rows = {8, 0, 4};
  batch.variant = 1;
  teacher->read_ahead(&batch);
  const std::vector<int64_t> other = {3};
  const Question questions[] = {{{}, batch.rows, batch.variant, batch.kept}, {{}, other, 0}};
  const std::vector<Answer> answers = teacher->answer(questions, true);
  ASSERT_EQ(answers.size(), 2U);
  for (int64_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(at::equal(answers[0].logits(i, 1)[0], logits[9 + batch.rows[i]]));
  }
  EXPECT_TRUE(at::equal(answers[1].logits(0, 1)[0], logits[3]));
}

TEST(LogitCache, SentencesHaveARowATermAndLieByLength) {
  const ScratchFolder scratch;
  const std::vector<SentenceLengths> lengths = {{3, 2}, {1, 4}, {2, 0}, {3, 2}};
  const std::vector<int64_t> first = {1, 7, 0, 4},
                             terms = {3, 5, 1, 3};  // by target, source, number
  for (const int64_t top : {0, 2}) {
    CacheFacts facts = facts_of(1, 4, 5, top);
    facts.terms = 12;
    const at::Tensor logits = at::randn({12, 5});
    const std::string folder = scratch / std::to_string(top);
    std::filesystem::create_directories(folder);
    std::vector<CacheRange> ranges = {{0, 4}, {4, 8}};
    for (std::size_t i = 0; i < 2; ++i) {
      CacheWriter writer(folder, facts, i, ranges[i]);
      writer.add(ranges[i].first, logits.narrow(0, ranges[i].first, ranges[i].count));
      writer.finish();
    }
    write_cache_index(folder, facts, ranges);
    auto cache = std::make_unique<LogitCache>(folder);
    EXPECT_TRUE(cache->is_of(facts));
    EXPECT_TRUE(holds(error_of(ExitCode::data,
                               [&] {
                                 cache->set_lengths({{{3, 2}, {1, 4}}});
                               }),
                      "holds 12 rows of 4 sentences, and train has 8 target tokens in 2"));
    cache->set_lengths(lengths);
    EXPECT_TRUE(holds(error_of(ExitCode::data, [&] { read(*cache, 0, {4}); }), "sample 4"));
    const auto teacher = make_cached_teacher(std::move(cache), at::kCPU);
    EXPECT_EQ(teacher->traits().cache->terms, 12);
    Batch batch;
    batch.rows = {3, 1, 2};
    teacher->read_ahead(&batch);
    const Question questions[] = {{{}, batch.rows, 0, batch.kept}, {{}, batch.rows, 0}};
    for (const Answer& answer : teacher->answer(questions, true)) {
      int64_t row = 0;
      for (const int64_t sentence : batch.rows) {
        const auto s = static_cast<std::size_t>(sentence);
        for (int64_t i = 0; i < terms[s]; ++i, ++row) {
          const at::Tensor wanted = logits[first[s] + i], got = answer.logits(row, 1)[0];
          const auto [values, classes] = wanted.topk(top > 0 ? top : 5);
          EXPECT_TRUE(at::equal(got.index_select(0, classes), values));
          if (top == 0) continue;
          EXPECT_NEAR(
              at::softmax(got.to(at::kDouble) / 2, 0).index_select(0, classes)[0].item<double>(),
              at::softmax(wanted.to(at::kDouble) / 2, 0).index_select(0, classes)[0].item<double>(),
              1e-5);
        }
      }
    }
  }
}

TEST(LogitCache, TheLargestStayAndTheOthersKeepTheirMass) {
  const ScratchFolder scratch;
  for (const int64_t top : {1, 3, 6}) {
    const CacheFacts facts = facts_of(1, 23, 7, top);
    const at::Tensor logits = at::randn({23, 7}) * 30;  // exp(30 * 3) overflows in fp32
    const std::string folder = scratch / std::to_string(top);
    const double divergence = write_cache(folder, facts, logits, 2);
    std::vector<int64_t> samples(23);
    std::iota(samples.begin(), samples.end(), 0);
    const at::Tensor kept = read(LogitCache(folder), 0, samples);
    const at::Tensor p = at::softmax(logits.to(at::kDouble) / 2, 1);
    const at::Tensor q = at::softmax(kept.to(at::kDouble) / 2, 1);
    double sum = 0;
    for (int64_t i = 0; i < 23; ++i) {
      std::vector<float> sorted(logits[i].const_data_ptr<float>(),
                                logits[i].const_data_ptr<float>() + 7);
      std::sort(sorted.begin(), sorted.end());
      const float least = sorted[static_cast<std::size_t>(7 - top)];
      double tail_p = 0, tail_q = 0;
      for (int64_t c = 0; c < 7; ++c) {
        const double pc = p[i][c].item<double>(), qc = q[i][c].item<double>();
        if (logits[i][c].item<float>() >= least) {
          EXPECT_EQ(kept[i][c].item<float>(), logits[i][c].item<float>());
          EXPECT_NEAR(pc, qc, 1e-5);
        } else {
          tail_p += pc;
          tail_q += qc;
        }
        if (pc > 0) sum += pc * std::log(pc / qc);
      }
      EXPECT_NEAR(tail_p, tail_q, 1e-5);
    }
    EXPECT_NEAR(divergence, sum / 23, 1e-5);
    if (top == 6) {  // one class is left, and it keeps its logit
      EXPECT_LT(divergence, 1e-6);
    }
  }
}

TEST(LogitCache, DamageIsNamedByFileAndRow) {
  const ScratchFolder scratch;
  const CacheFacts facts = facts_of(1, 9, 5);
  const at::Tensor logits = at::randn({9, 5});
  const auto anew = [&](const std::string& name) {
    write_cache(scratch / name, facts, logits, 2);  // rows 0-3 and 4-8: the last is not alone
    return scratch / name;
  };
  const std::vector<int64_t> all = {0, 1, 2, 3, 4, 5, 6, 7, 8};
  std::string folder = anew("bit");
  flip_bit(folder + "/logits-00001.bin", 64 + 2 * 24 + 7);
  const LogitCache damaged(folder);
  EXPECT_TRUE(
      at::equal(read(damaged, 0, {0, 5, 7}), logits.index_select(0, at::tensor({0, 5, 7}))));
  EXPECT_TRUE(holds(error_of(ExitCode::data, [&] { read(damaged, 0, all); }),
                    folder + "/logits-00001.bin, row 2: "));

  folder = anew("swapped");  // two rows that are each whole
  std::string bytes = read_file(folder + "/logits-00000.bin", ExitCode::data);
  std::swap_ranges(bytes.begin() + 64, bytes.begin() + 64 + 24, bytes.begin() + 64 + 24);
  replace_file(folder + "/logits-00000.bin", bytes);
  EXPECT_TRUE(holds(error_of(ExitCode::data, [&] { read(LogitCache(folder), 0, all); }), "row 0"));

  const auto refusal = [](const std::string& of) {
    return error_of(ExitCode::data, [&] { LogitCache cache(of); });
  };
  folder = anew("short");
  std::filesystem::resize_file(folder + "/logits-00001.bin", 100);
  EXPECT_TRUE(holds(refusal(folder), "logits-00001.bin: holds 100 bytes"));
  folder = anew("gone");
  std::filesystem::remove(folder + "/logits-00000.bin");
  EXPECT_TRUE(holds(refusal(folder), "logits-00000.bin: cannot open"));
  folder = anew("unfinished");
  std::filesystem::remove(folder + "/index.json");
  EXPECT_TRUE(holds(refusal(folder), "never ended"));
  EXPECT_TRUE(holds(refusal(scratch / "nothing"), "no logit cache"));
  folder = anew("changed");
  flip_bit(folder + "/index.json", read_file(folder + "/index.json", ExitCode::data).find("AVX2"));
  EXPECT_TRUE(holds(refusal(folder), "index.json: was changed"));
  // The index of another cache of the same sizes.
  folder = anew("mine");
  CacheFacts other = facts;
  other.precision = "bf16";
  write_cache(scratch / "theirs", other, logits, 2);
  std::filesystem::copy(scratch / "theirs/index.json", folder + "/index.json",
                        std::filesystem::copy_options::overwrite_existing);
  EXPECT_TRUE(holds(refusal(folder), "logits-00000.bin: is of another cache"));
}

/// The index of a folder with some facts replaced, and its own SHA-256 made right again.
void forge_index(const std::string& folder, const std::function<void(Json&)>& change) {
  const std::string path = folder + "/" + kCacheIndexFile;
  Json json = parse_json(read_file(path, ExitCode::data), path, ExitCode::data);
  change(json);
  json.erase("index_sha256");
  json["index_sha256"] = sha256_hex(json.dump());
  replace_file(path, json.dump());
}

TEST(LogitCache, AForgedIndexIsRefusedBeforeItsSizesAreTaken) {
  const ScratchFolder scratch;
  const auto refusal = [&](const std::function<void(Json&)>& change) {
    write_cache(scratch / "c", facts_of(1, 9, 5), at::randn({9, 5}), 1);
    forge_index(scratch / "c", change);
    return error_of(ExitCode::data, [&] { LogitCache cache(scratch / "c"); });
  };
  // 2^22 rows of 2^42 + 4 bytes are 2^24 bytes, where 64 bits overflow.
  EXPECT_HOLDS(refusal([](Json& json) {
                 json["facts"]["classes"] = int64_t{1} << 40;
                 json["facts"]["samples"] = json["files"][0]["rows"] = 1 << 22;
               }),
               "do not fit together");
  EXPECT_HOLDS(refusal([](Json& json) { json["facts"]["classes"] = 1 << 25; }),
               "do not fit together");
  EXPECT_HOLDS(refusal([](Json& json) { json["facts"]["augmentation"]["seed"] = 1e300; }), "seed");
  EXPECT_HOLDS(refusal([](Json& json) {
                 json["facts"]["augmentation"]["crop"] = {{"crop", "circle"}, {"size", 8}};
               }),
               "cropped by circle");
  EXPECT_HOLDS(refusal([](Json& json) {
                 json["facts"]["augmentation"]["crop"] = {{"crop", "centre"}, {"size", -1e300}};
               }),
               "\"size\" holds -1e+300");
}

TEST(LogitCache, IsRefusedWithBothValuesWhereItDoesNotFit) {
  const ScratchFolder scratch;
  const CacheFacts has = facts_of(2, 9, 5);
  write_cache(scratch / "c", has, at::randn({18, 5}), 1);
  const LogitCache cache(scratch / "c");
  const auto refusal = [&](const CacheFacts& wanted) {
    return error_of(ExitCode::settings, [&] { require_fits(cache, wanted); });
  };
  EXPECT_NO_THROW(require_fits(cache, has));
  CacheFacts unknown = has;
  unknown.teacher_sha256 = unknown.teacher_samples = unknown.precision = "";
  unknown.normalization = {};
  EXPECT_NO_THROW(require_fits(cache, unknown));
  CacheFacts small = has;
  small.batch = 3;
  EXPECT_NO_THROW(require_fits(cache, small));
  CacheFacts fixed = has;
  fixed.any_batch = false;
  write_cache(scratch / "fixed", fixed, at::randn({18, 5}), 1);
  const LogitCache of_one_batch(scratch / "fixed");
  EXPECT_NO_THROW(require_fits(of_one_batch, fixed));
  EXPECT_TRUE(holds(error_of(ExitCode::settings, [&] { require_fits(of_one_batch, small); }),
                    "the micro-batch, on which the teacher's logits depend here, was 4"));
  CacheFacts wanted = has;
  for (auto member : {&CacheFacts::teacher_sha256, &CacheFacts::teacher_samples,
                      &CacheFacts::precision, &CacheFacts::processor, &CacheFacts::data}) {
    wanted = has;
    wanted.*member = "another";
    const std::string why = refusal(wanted);
    EXPECT_TRUE(holds(why, has.*member));
    EXPECT_TRUE(holds(why, "another"));
  }
  wanted = has;
  wanted.normalization.mean = {0.75f};
  EXPECT_TRUE(holds(refusal(wanted), "0.75"));
  wanted = has;
  wanted.augmentation.shift = 1;
  EXPECT_TRUE(holds(refusal(wanted), "data.shift = 1"));
  wanted = has;
  wanted.augmentation.variants = 3;
  EXPECT_TRUE(holds(refusal(wanted), "data.variants was 2 when it was written and is 3"));
  wanted.augmentation.variants = 0;
  EXPECT_TRUE(holds(refusal(wanted), "0 (never repeats)"));
  wanted.augmentation.variants = 1;  // the first of two
  EXPECT_NO_THROW(require_fits(cache, wanted));
  wanted = has;
  wanted.augmentation.seed = 8;
  EXPECT_TRUE(holds(refusal(wanted), "data.augment_seed was 7"));
  CacheFacts coloured = has;
  coloured.augmentation.shift = 0;
  coloured.augmentation.crop = {.crop = CropKind::random, .scaled_decode = true};
  coloured.augmentation.colour = {0.4, 0.1, 0.25};
  write_cache(scratch / "coloured", coloured, at::randn({18, 5}), 1);
  EXPECT_TRUE(LogitCache(scratch / "coloured").is_of(coloured));
  EXPECT_NO_THROW(require_fits(LogitCache(scratch / "coloured"), coloured));
  wanted = has;
  wanted.augmentation.colour.jitter = 0.4;
  EXPECT_TRUE(holds(refusal(wanted), "data.jitter, data.lighting, data.erase was null"));
  wanted = has;
  wanted.temperature = 4;  // all logits know every temperature
  EXPECT_NO_THROW(require_fits(cache, wanted));

  const CacheFacts top = facts_of(1, 9, 5, 2);
  write_cache(scratch / "top", top, at::randn({9, 5}), 1);
  wanted = top;
  wanted.augmentation.seed = 8;  // nothing is augmented
  wanted.temperature = 4;
  EXPECT_TRUE(holds(
      error_of(ExitCode::settings, [&] { require_fits(LogitCache(scratch / "top"), wanted); }),
      "distill.temperature was 2 when it was written and is 4"));
}

TEST(CacheWriter, AFullDiskNamesTheBytesAndLeavesNothing) {
  const ScratchFolder scratch;
  const CacheFacts facts = facts_of(1, 1000, 5);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{5000, before.rlim_max};
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string why = error_of(ExitCode::storage, [&] {
    CacheWriter(scratch.path(), facts, 0, {0, 1000});
  });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(holds(why, "allocate 24.1 kB"));
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST(CacheWriter, AFileWithoutRowsIsRemoved) {
  const ScratchFolder scratch;
  {
    CacheWriter writer(scratch.path(), facts_of(1, 9, 5), 0, {0, 9});
    at::Tensor bad = at::randn({5, 5});
    bad[3][2] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(holds(error_of(ExitCode::numbers, [&] { writer.add(4, bad); }), "row 7 of train"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

/// The file of rows 9 to 18, all of them written.
std::string written(const std::string& folder, const CacheFacts& facts, const at::Tensor& logits) {
  CacheWriter writer(folder, facts, 1, {9, 9});
  EXPECT_EQ(writer.rows_kept(), 0);
  writer.add(9, logits);
  writer.finish();
  return folder + "/" + cache_file_name(1);
}

TEST(CacheWriter, GoesOnAfterTheLastWholeRow) {
  const ScratchFolder scratch;
  for (const int64_t top : {0, 2}) {
    const CacheFacts facts = facts_of(2, 9, 5, top);
    const at::Tensor logits = at::randn({9, 5});
    const std::string path = written(scratch.path(), facts, logits);
    const std::string whole = read_file(path, ExitCode::data);
    const auto row_bytes = static_cast<std::size_t>(facts.row_bytes());
    for (std::size_t end : {std::size_t{0}, std::size_t{63}, std::size_t{64}, 64 + row_bytes - 1,
                            64 + row_bytes, 64 + 5 * row_bytes + 3, whole.size()}) {
      // What a killed writer leaves: the front, and zeros where nothing was written yet.
      std::string front = whole.substr(0, end < 64 ? 0 : end);
      front.resize(whole.size());
      if (end == 63) front.resize(40);
      replace_file(path, front);
      CacheWriter writer(scratch.path(), facts, 1, {9, 9}, true);
      const int64_t kept = writer.rows_kept();
      EXPECT_EQ(kept, end < 64 ? 0 : static_cast<int64_t>((end - 64) / row_bytes)) << end;
      if (kept < 9) writer.add(9 + kept, logits.narrow(0, kept, 9 - kept));
      writer.finish();
      EXPECT_EQ(read_file(path, ExitCode::data), whole) << end;
    }
  }
}

TEST(CacheWriter, GoesOnOnlyWithItsOwnFile) {
  const ScratchFolder scratch;
  const CacheFacts facts = facts_of(2, 9, 5);
  const at::Tensor logits = at::randn({9, 5});
  const std::string path = written(scratch.path(), facts, logits);
  const auto refusal = [&](const CacheFacts& wanted, const CacheRange& range) {
    return error_of(ExitCode::settings,
                    [&] { CacheWriter(scratch.path(), wanted, 1, range, true); });
  };
  CacheFacts other = facts;
  other.augmentation.seed = 8;
  EXPECT_TRUE(holds(refusal(other, {9, 9}), "was begun with other settings"));
  EXPECT_TRUE(holds(refusal(facts, {6, 6}), "another number of ranks"));
  // As many rows, but others: none of them counts.
  EXPECT_EQ(CacheWriter(scratch.path(), facts, 1, {0, 9}, true).rows_kept(), 0);
}

}  // namespace
}  // namespace bitstill
