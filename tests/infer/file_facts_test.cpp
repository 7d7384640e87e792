// Who has the word about a network's input: its file, the settings, the shards.
#include <functional>

#include "../data/data_fixture.hpp"
#include "bitstill/infer/loaded_model.hpp"
#include "bitstill/model/weights.hpp"

namespace bitstill {
namespace {

const Normalization kOwn{{.1f, .2f, .3f}, {.4f, .5f, .6f}};
const Normalization kOther{{.7f, .2f, .3f}, {.4f, .5f, .6f}};

/// A plain file of a small network, one that describes itself by kOwn, and shards that fit both.
class FileFactsTest : public testing::Test {
 protected:
  FileFactsTest() {
    shards_.shape = {3, 5, 7};
    shards_.classes = {"ant", "bee", "cat"};
    shards_.normalization = {{0, 0, 0}, {1, 1, 1}};
    facts_.shards = &shards_;
    facts_.settings.widths = {4, 4};
    facts_.settings.kernels = {3};
    facts_.settings.pools = {1};
    facts_.settings.hidden = {8};
    spec_ = facts_.settings;
    spec_.input = shards_.shape;
    spec_.classes = 3;
    spec_.normalization = kOwn;
    const auto network = make_network(spec_);
    initialize(*network, 1);
    tensors_ = named_tensors(*network);
    write_model_file(plain_, {Json(), tensors_, {}});
    describe();
  }

  /// Writes the file that describes itself, its description changed.
  void describe(const std::function<void(Json&)>& change = [](Json&) {}) {
    Json about = describe_model("weights", completed(spec_), shards_.classes);
    change(about);
    write_model_file(described_, {about, tensors_, {}});
  }

  /// The plain file with `text` under __metadata__.`key`, as a program of another kind writes it.
  void state(const std::string& text, const std::string& key = "bitstill_input") {
    std::string bytes = read_file(plain_, ExitCode::model);
    const std::string data = bytes.substr(8 + header_bytes(bytes));
    Json header = parse_json(bytes.substr(8, header_bytes(bytes)), plain_, ExitCode::model);
    header["__metadata__"].erase("bitstill_sha256");  // of the bytes before
    header["__metadata__"][key] = text;
    const std::string front = header.dump();
    std::string size(8, '\0');
    for (std::size_t i = 0; i < 8; ++i) size[i] = static_cast<char>(front.size() >> (8 * i));
    put_file(plain_, size + front + data);
  }
  static std::size_t header_bytes(const std::string& bytes) {
    std::size_t size = 0;
    for (std::size_t i = 8; i-- > 0;) size = size << 8 | static_cast<uint8_t>(bytes[i]);
    return size;
  }

  Normalization normalization_of(const std::string& path) {
    return load_model(path, facts_).network->spec().normalization;
  }

  ScratchFolder folder_;
  const std::string plain_ = folder_ / "plain.safetensors", described_ = folder_ / "m.safetensors";
  DataIndex shards_;
  FileFacts facts_;
  NetworkSpec spec_;
  NamedTensors tensors_;
};

TEST_F(FileFactsTest, TheFilesWordIsBeforeTheSettingsAndTheirsBeforeTheShards) {
  EXPECT_EQ(normalization_of(plain_), shards_.normalization);
  EXPECT_EQ(normalization_of(described_), kOwn);
  facts_.settings.normalization = kOther;
  EXPECT_EQ(normalization_of(plain_), kOther);
  EXPECT_EQ(normalization_without_file(facts_), kOther);
  state(R"({"normalization": {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}})");
  facts_.settings.normalization = kOwn;  // the same word twice
  EXPECT_EQ(normalization_of(plain_), kOwn);
  EXPECT_EQ(normalization_of(described_), kOwn);
  facts_.settings.normalization = {};
  EXPECT_EQ(normalization_of(plain_), kOwn);
  EXPECT_EQ(normalization_without_file(facts_), shards_.normalization);
}

TEST_F(FileFactsTest, ASettingThatContradictsTheFileIsRefusedNamingBoth) {
  state(R"({"normalization": {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}})");
  facts_.section = "teacher";
  facts_.settings.normalization = kOther;
  for (const std::string& path : {plain_, described_}) {
    const std::string text = error_of(ExitCode::settings, [&] { load_model(path, facts_); });
    EXPECT_HOLDS(text, path);
    EXPECT_HOLDS(text, "mean 0.1,0.2,0.3 and std 0.4,0.5,0.6");
    EXPECT_HOLDS(text, "teacher.* say mean 0.7,0.2,0.3 and std 0.4,0.5,0.6");
  }
  // Also where no shards are at hand.
  facts_.shards = nullptr;
  EXPECT_HOLDS(error_of(ExitCode::settings, [&] { load_model(described_, facts_); }), "mean 0.7");
}

TEST_F(FileFactsTest, SettingsNeedAMeanAndADeviationAboveZeroForEachChannel) {
  const std::vector<Normalization> wrong = {{{.1f}, {.4f}},
                                            {{.1f, .2f, .3f}, {}},
                                            {{}, {.1f, .2f, .3f}},
                                            {{.1f, .2f, .3f}, {.4f, 0, .6f}}};
  for (const Normalization& given : wrong) {
    facts_.settings.normalization = given;
    for (const std::string& path : {plain_, described_}) {
      const std::string text = error_of(ExitCode::settings, [&] { load_model(path, facts_); });
      EXPECT_HOLDS(text, to_text(given));
      EXPECT_HOLDS(text, "3 channels");
    }
    error_of(ExitCode::settings, [&] { normalization_without_file(facts_); });
  }
}

TEST_F(FileFactsTest, SettingsMustGiveTheLayersThatTheFileHas) {
  facts_.settings.dropout = {.5};  // training's own affair
  EXPECT_NO_THROW(load_model(described_, facts_));
  facts_.settings.pools = {2};  // the same tensors, another function: nothing else would notice
  const std::string text = error_of(ExitCode::settings, [&] { load_model(described_, facts_); });
  EXPECT_HOLDS(text, "pools [1]");
  EXPECT_HOLDS(text, "pools [2]");
  facts_.settings = NetworkSpec();  // says nothing
  EXPECT_NO_THROW(load_model(described_, facts_));
}

TEST_F(FileFactsTest, APlainFileMayStateAllOfItsInput) {
  state(R"({"classes": ["ant", "cat", "bee"], "input": {"channels": 3, "height": 5, "width": 7},
            "evaluation": {"resize": 8, "crop": 5}})");
  const LoadedModel model = load_model(plain_, facts_);
  EXPECT_EQ(model.classes, (std::vector<std::string>{"ant", "cat", "bee"}));
  EXPECT_EQ(model.evaluation, (Json{{"resize", 8}, {"crop", 5}}));
  const std::string text = error_of(ExitCode::model, [&] { require_fits(model, plain_, shards_); });
  EXPECT_HOLDS(text, "class 1 being cat and bee");
  describe([](Json& about) { about["evaluation"] = {{"crop", 5}}; });
  EXPECT_EQ(load_model(described_, facts_).evaluation, (Json{{"crop", 5}}));
}

TEST_F(FileFactsTest, WhatCannotBeReadIsRefused) {
  const std::string whole = read_file(plain_, ExitCode::model);
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {R"({"normalization": {"mean": [0.1], "std": [0.4]}})", "1 means"},
      {R"({"normalization": {"mean": [0.1, 0.2, 0.3]}})", "\"std\" is missing"},
      {R"({"normalization": {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0, 0.6]}})", "positive"},
      {R"({"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]})", "bitstill_input.mean is unknown"},
      {R"(["normalization"])", "unknown"},
      {R"("normalization")", "unknown"},
      {R"({"normalization":)", "not valid JSON"}};
  for (const auto& [words, what] : wrong) {
    put_file(plain_, whole);
    state(words);
    const std::string text = error_of(ExitCode::model, [&] { load_model(plain_, facts_); });
    EXPECT_HOLDS(text, what);
    EXPECT_HOLDS(text, plain_);
  }
  put_file(plain_, whole);
  state("{}");
  state(R"({"format": 1})", "bitstill");
  EXPECT_HOLDS(error_of(ExitCode::model, [&] { load_model(plain_, facts_); }), "twice");
}

TEST(EvaluationCrop, FollowsTheModelsFile) {
  const auto model_of = [](const ImageShape& input, const Json& evaluation) {
    NetworkSpec spec;
    spec.kind = "student1";
    spec.input = input;
    spec.classes = 3;
    spec.normalization = kOwn;
    LoadedModel model;
    model.network = make_network(spec);
    model.evaluation = evaluation;
    return model;
  };
  DataIndex jpeg, raw;
  jpeg.content = Content::jpeg;
  jpeg.row = {3, 0, 0};
  raw.row = {3, 40, 40};
  const auto text = [](const CropOptions& crop) { return evaluation_json(crop).dump(); };
  const LoadedModel said = model_of({3, 32, 32}, {{"resize", 37}, {"crop", 32}});
  for (const DataIndex* shards : {&jpeg, &raw}) {
    EXPECT_EQ(text(evaluation_crop(said, "m", *shards)), R"({"resize":37,"crop":32})");
  }
  EXPECT_EQ(text(stated_crop(said, "m")), R"({"resize":37,"crop":32})");
  const LoadedModel silent = model_of({3, 32, 32}, Json());
  EXPECT_EQ(text(evaluation_crop(silent, "m", jpeg)), R"({"resize":32,"crop":32})");
  EXPECT_EQ(text(evaluation_crop(silent, "m", raw)), "null");
  EXPECT_EQ(text(stated_crop(silent, "m")), "null");
  // Rows of the input's size are what it was trained on.
  EXPECT_EQ(text(evaluation_crop(model_of({3, 40, 40}, {{"resize", 45}}), "m", raw)), "null");
  for (const Json& wrong : {Json{{"resize", 31}}, Json{{"resize", "37"}}, Json{{"resize", 1 << 20}},
                            Json{{"resize", 37}, {"crop", 31}}}) {
    const LoadedModel model = model_of({3, 32, 32}, wrong);
    EXPECT_HOLDS(error_of(ExitCode::model, [&] { stated_crop(model, "m"); }), "m: its evaluation");
  }
  EXPECT_HOLDS(error_of(ExitCode::model,
                        [&] {
                          evaluation_crop(model_of({3, 32, 36}, Json()), "m", jpeg);
                        }),
               "m takes images of 32x36");
}

}  // namespace
}  // namespace bitstill
