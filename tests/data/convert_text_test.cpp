#include <functional>
#include <map>

#include "bitstill/data/inspect.hpp"
#include "bitstill/data/vocabulary.hpp"
#include "sentences.hpp"

namespace bitstill {
namespace {

/// A split's rows as sentences again.
std::vector<MadePair> decoded(const std::string& folder, Split split) {
  const Dataset dataset(folder);
  const Vocabulary source = read_vocabulary(folder, dataset.index(), 0);
  const Vocabulary target = read_vocabulary(folder, dataset.index(), 1);
  std::vector<int64_t> rows(static_cast<std::size_t>(dataset.size(split)));
  std::iota(rows.begin(), rows.end(), int64_t{0});
  const Batch batch = read_batch(dataset, split, rows);
  EXPECT_EQ(batch.lengths, dataset.lengths(split));
  std::vector<MadePair> pairs;
  std::span<const int32_t> rest = batch.tokens;
  for (const SentenceLengths& lengths : batch.lengths) {
    const auto ours = static_cast<std::size_t>(lengths.source);
    const auto theirs = static_cast<std::size_t>(lengths.target);
    pairs.push_back({source.decode(rest.first(ours)), target.decode(rest.subspan(ours, theirs))});
    rest = rest.subspan(ours + theirs);
  }
  EXPECT_TRUE(rest.empty());
  return pairs;
}

std::vector<std::string> texts(const std::vector<MadePair>& pairs) {
  std::vector<std::string> lines;
  for (const MadePair& pair : pairs) lines.push_back(pair.source + "\t" + pair.target);
  return lines;
}

int64_t left_out(const TextReport& report, PairFault fault) {
  return report.left_out[static_cast<std::size_t>(fault)];
}

TEST(ConvertText, ShardsHoldEverySentenceOnce) {
  const ScratchFolder scratch;
  const std::vector<MadePair> pairs = made_pairs(403, 1);
  TextOptions options = text_options(put_pairs(scratch / "all", pairs), scratch / "out");
  options.rows_per_shard = 100;
  const TextReport report = convert_text(options);
  EXPECT_EQ(report.count, (std::array<int64_t, kSplits>{323, 40, 40}));
  EXPECT_EQ(report.unknown + report.twins, 0);
  EXPECT_EQ(report.name, "all");
  EXPECT_TRUE(verify_shards(scratch / "out", Place{}).empty());
  std::vector<std::string> found;
  for (const Split split : {Split::train, Split::validation, Split::test}) {
    const std::vector<std::string> lines = texts(decoded(scratch / "out", split));
    EXPECT_EQ(static_cast<int64_t>(lines.size()), report.count[static_cast<std::size_t>(split)]);
    found.insert(found.end(), lines.begin(), lines.end());
  }
  std::vector<std::string> given = texts(pairs);
  std::sort(found.begin(), found.end());
  std::sort(given.begin(), given.end());
  EXPECT_EQ(found, given);
  const Json json = inspect_shards(scratch / "out");
  EXPECT_EQ(json["splits"]["train"]["shards"], 4);
  EXPECT_EQ(json["splits"]["train"]["source_tokens"], report.sentences[0].source_tokens);
  const Dataset dataset(scratch / "out");
  SentenceTotals totals;
  for (const SentenceLengths& lengths : dataset.lengths(Split::train)) {
    totals.source_tokens += lengths.source;
    totals.target_tokens += lengths.target;
    totals.longest_source = std::max<int64_t>(totals.longest_source, lengths.source);
    totals.longest_target = std::max<int64_t>(totals.longest_target, lengths.target);
  }
  EXPECT_EQ(dataset.index().sentences[0], totals);
  EXPECT_HOLDS(inspect_text(json), "80 pieces for both sides");
}

TEST(ConvertText, NothingChangesASentence) {
  const ScratchFolder scratch;
  convert_text(text_options(put_pairs(scratch / "all", made_pairs(60, 1)), scratch / "out"));
  const DataIndex index = Dataset(scratch / "out").index();
  EXPECT_EQ(settled({}, index).crop.crop, CropKind::none);
  const std::pair<const char*, std::function<void(AugmentationOptions&)>> refused[] = {
      {"data.shift", [](auto& o) { o.shift = 1; }},
      {"data.flip", [](auto& o) { o.flip = true; }},
      {"data.crop", [](auto& o) { o.crop.crop = CropKind::centre; }},
      {"data.scaled_decode", [](auto& o) { o.crop.scaled_decode = true; }},
      {"data.jitter", [](auto& o) { o.colour.jitter = 0.1; }},
      {"data.lighting", [](auto& o) { o.colour.lighting = 0.1; }},
      {"data.erase", [](auto& o) { o.colour.erase = 0.1; }},
      {"data.mixup", [](auto& o) { o.mix.mixup = 0.2; }},
      {"data.cutmix", [](auto& o) { o.mix.cutmix = 1; }}};
  for (const auto& [name, give] : refused) {
    AugmentationOptions options;
    give(options);
    EXPECT_HOLDS(error_of(ExitCode::settings, [&] { settled(options, index); }), name);
  }
}

TEST(ConvertText, TheSameSourceGivesTheSameFolder) {
  const ScratchFolder scratch;
  const std::string source = put_pairs(scratch / "all", made_pairs(200, 2));
  for (const char* out : {"one", "two"}) convert_text(text_options(source, scratch / out));
  for (const auto& file : std::filesystem::directory_iterator(scratch / "one")) {
    const std::string name = file.path().filename().string();
    EXPECT_EQ(read_file(scratch / ("one/" + name), ExitCode::data),
              read_file(scratch / ("two/" + name), ExitCode::data));
  }
}

TEST(ConvertText, OwnSetsAreKeptLineForLine) {
  const ScratchFolder scratch;
  std::vector<MadePair> first = made_pairs(30, 3), second = made_pairs(20, 4);
  first[3] = first[1];  // twice, and the longest and most uneven of all
  first[5].source += " the the the the the the the the the the the the the the the the the";
  TextOptions options =
      text_options(put_pairs(scratch / "train", made_pairs(200, 5)), scratch / "out");
  options.test_source = put_pairs(scratch / "a", first) + "," + put_pairs(scratch / "b", second);
  options.validation_source = put_pairs(scratch / "c", made_pairs(7, 5));
  options.most_length = 40;
  options.most_ratio = 1.5;
  const TextReport report = convert_text(options);
  first.insert(first.end(), second.begin(), second.end());
  EXPECT_EQ(texts(decoded(scratch / "out", Split::test)), texts(first));
  EXPECT_EQ(report.count[1], 7);
  EXPECT_GT(left_out(report, PairFault::uneven) + left_out(report, PairFault::too_long), 0);
  EXPECT_EQ(
      report.count[0] + left_out(report, PairFault::uneven) + left_out(report, PairFault::too_long),
      200);
  EXPECT_EQ(report.twins, 7);  // made of the same stream as train's first
}

TEST(ConvertText, FiltersAreCounted) {
  const ScratchFolder scratch;
  std::vector<MadePair> pairs = made_pairs(100, 6);
  pairs[10] = pairs[20] = pairs[30];
  pairs[40].source = " \u00a0";
  pairs[41].target = "";
  pairs[50].target = pairs[50].source = "Line dog";
  pairs[50].target += std::string(300, 'n');
  pairs[60].source = "fox";
  TextOptions options = text_options(put_pairs(scratch / "all", pairs), scratch / "out");
  options.validation = options.test = 0;
  const TextReport report = convert_text(options);
  EXPECT_EQ(left_out(report, PairFault::duplicate), 2);
  EXPECT_EQ(left_out(report, PairFault::empty), 2);
  EXPECT_EQ(left_out(report, PairFault::too_long) + left_out(report, PairFault::uneven), 2);
  EXPECT_EQ(report.count, (std::array<int64_t, kSplits>{94, 0, 0}));
  options.out = scratch / "kept";
  options.keep_duplicates = true;
  options.most_length = 0;
  options.most_ratio = 0;
  EXPECT_EQ(convert_text(options).count[0], 98);
}

TEST(ConvertText, SidesMayHaveTheirOwnVocabularies) {
  const ScratchFolder scratch;
  const std::vector<MadePair> pairs = made_pairs(200, 7);
  TextOptions options = text_options(put_pairs(scratch / "all", pairs), scratch / "out");
  options.vocabulary = "bpe:90,words:120";
  const TextReport report = convert_text(options);
  ASSERT_EQ(report.vocabularies.size(), 2U);
  EXPECT_EQ(report.vocabularies[0].pieces, 90);
  EXPECT_LE(report.vocabularies[1].pieces, 120);
  EXPECT_HOLDS(inspect_text(inspect_shards(scratch / "out")), "90 and ");
  EXPECT_TRUE(verify_shards(scratch / "out", Place{}).empty());
  // Existing models again, the other way round.
  options.vocabulary = scratch / "out/target.model" + "," + scratch / "out/source.model";
  options.out = scratch / "again";
  EXPECT_EQ(convert_text(options).vocabularies[1].pieces, 90);
}

TEST(ConvertText, LargeVocabulariesTakeFourBytes) {
  const ScratchFolder scratch;
  std::vector<MadePair> pairs;
  for (int i = 0; i < 700; ++i) {
    std::string line;
    for (int word = 0; word < 100; ++word) line += "w" + std::to_string(100 * i + word) + " ";
    line.pop_back();
    pairs.push_back({line, "w1 w69999"});
  }
  TextOptions options = text_options(put_pairs(scratch / "all", pairs), scratch / "out");
  options.vocabulary = "words:100000";
  options.most_ratio = 0;
  options.validation = options.test = 0;
  const TextReport report = convert_text(options);
  EXPECT_GT(report.vocabularies[0].pieces, 65535);
  EXPECT_EQ(texts(decoded(scratch / "out", Split::train)), texts(pairs));
}

TEST(ConvertText, ReadsTabsAndGzip) {
  const ScratchFolder scratch;
  const std::vector<MadePair> pairs = made_pairs(100, 8);
  std::string tabs;
  for (const std::string& line : texts(pairs)) tabs += line + "\n";
  tabs.pop_back();  // the last line need not end
  put_file(scratch / "all.tsv", "\xEF\xBB\xBF" + tabs);
  ASSERT_EQ(std::system(("gzip " + (scratch / "all.tsv")).c_str()), 0);
  convert_text(text_options(scratch / "all.tsv.gz", scratch / "tabs"));
  convert_text(text_options(put_pairs(scratch / "all", pairs), scratch / "two"));
  for (const Split split : {Split::train, Split::test}) {
    EXPECT_EQ(texts(decoded(scratch / "tabs", split)), texts(decoded(scratch / "two", split)));
  }
}

TEST(ConvertText, BadInputIsRefusedByFileAndLine) {
  const ScratchFolder scratch;
  const std::vector<MadePair> pairs = made_pairs(50, 9);
  const auto refusal = [&](std::size_t line, const std::string& source, ExitCode code) {
    std::vector<MadePair> bad = pairs;
    bad[line].source = source;
    return error_of(
        code, [&] { convert_text(text_options(put_pairs(scratch / "x", bad), scratch / "out")); });
  };
  EXPECT_HOLDS(refusal(4, "a \xFF b", ExitCode::data), "x.en, line 5: a pair without valid UTF-8");
  EXPECT_HOLDS(refusal(0, std::string("a\0b", 3), ExitCode::data),
               "x.en, line 1: a pair with a NUL");
  EXPECT_HOLDS(refusal(9, std::string(1'000'001, 'a'), ExitCode::data),
               "line 10: a pair over 1 MB");
  EXPECT_HOLDS(refusal(9, "dog\r", ExitCode::data), "x.en, line 10: ends in CR LF");
  EXPECT_HOLDS(refusal(9, "a\nb", ExitCode::data), "x.en has 51 lines");
  put_file(scratch / "empty.en", "");
  put_file(scratch / "empty.de", "");
  put_file(scratch / "no.tsv", "a\tb\nno tab\n");
  const std::string good = put_pairs(scratch / "good", pairs);
  const std::map<std::string, std::string> sources = {
      {scratch / "empty.en" + "," + scratch / "empty.de", "empty.en: is empty"},
      {scratch / "no.tsv", "no.tsv, line 2: a pair without one tab"},
      {scratch / "none.en" + "," + scratch / "none.de", "none.en: "}};
  for (const auto& [source, message] : sources) {
    EXPECT_HOLDS(
        error_of(ExitCode::data,
                 [&, source = source] { convert_text(text_options(source, scratch / "out")); }),
        message);
  }
  EXPECT_HOLDS(
      error_of(ExitCode::settings, [&] { convert_text(text_options("a,b,c", scratch / "out")); }),
      "these are 3 files");
  TextOptions options = text_options(good, scratch / "out");
  options.vocabulary = scratch / "good.en";
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert_text(options); }),
               "good.en: is no SentencePiece model");
  std::vector<MadePair> holed = made_pairs(5, 1);
  holed[2].target = "";
  options = text_options(good, scratch / "out");
  options.test_source = put_pairs(scratch / "holed", holed);
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert_text(options); }),
               "holed.de, line 3: a pair with an empty side");
  EXPECT_FALSE(std::filesystem::exists(scratch / "out"));
}

TEST(ConvertText, BadLinesMayBeLeftOut) {
  const ScratchFolder scratch;
  std::vector<MadePair> pairs = made_pairs(50, 10);
  pairs[1].source = "a \xFF b";
  pairs[2].target = std::string("a\0b", 3);
  TextOptions options = text_options(put_pairs(scratch / "x", pairs), scratch / "out");
  options.skip_bad = true;
  options.vocabulary = "bpe:80";
  const TextReport report = convert_text(options);
  EXPECT_EQ(left_out(report, PairFault::not_utf8), 1);
  EXPECT_EQ(left_out(report, PairFault::zero_byte), 1);
  EXPECT_EQ(report.count, (std::array<int64_t, kSplits>{40, 4, 4}));
}

TEST(ConvertText, SettingsThatDoNotFitAreRefused) {
  const ScratchFolder scratch;
  const std::string source = put_pairs(scratch / "x", made_pairs(20, 11));
  const auto refusal = [&](const auto& change) {
    TextOptions options = text_options(source, scratch / "out");
    change(options);
    return error_of(ExitCode::settings, [&] { convert_text(options); });
  };
  EXPECT_HOLDS(refusal([](TextOptions& o) { o.test = 15, o.validation = 5; }),
               "none would be left");
  EXPECT_HOLDS(refusal([](TextOptions& o) { o.most_ratio = 0.5; }), "--most-ratio 0.5");
  EXPECT_HOLDS(refusal([](TextOptions& o) { o.most_length = -1; }), "--most-length -1");
  EXPECT_HOLDS(refusal([](TextOptions& o) { o.rows_per_shard = -1; }), "--rows -1");
  EXPECT_HOLDS(refusal([](TextOptions& o) { o.vocabulary = "bpe:9,bpe:9,bpe:9"; }), "--vocabulary");
  EXPECT_HOLDS(refusal([&](TextOptions& o) { o.test = 3, o.test_source = source; }), "--test");
  EXPECT_HOLDS(refusal([](TextOptions& o) { o.source = ""; }), "--source is missing");
  EXPECT_HOLDS(refusal([](TextOptions& o) { o.out = ""; }), "--out is missing");
  put_file(scratch / "out/kept", "x");
  EXPECT_HOLDS(refusal([](TextOptions&) {}), "exists already");
}

}  // namespace
}  // namespace bitstill
