#include "bitstill/report/evaluation.hpp"

#include <gtest/gtest.h>

#include "bitstill/report/evaluation_figures.hpp"
#include "page_check.hpp"

namespace bitstill {
namespace {

using Names = std::vector<std::string>;

/// `right` and `wrong` samples of a class, the wrong ones taken for the next class.
void add(ClassificationTally* tally, int64_t label, int right, int wrong) {
  const int64_t next = (label + 1) % tally->classes();
  for (int i = 0; i < right; ++i) tally->add({label, 0, 0.25, 0.875}, label);
  for (int i = 0; i < wrong; ++i) tally->add({next, 1, 1.25, 0.625}, label);
}

/// Three classes: 9 of 10, 10 of 10 and 16 of 20.
EvaluationFacts facts_of(const Names& classes = {"ant", "bee", "cat"}) {
  EvaluationFacts facts{
      "insects", "test", classes, {"s.safetensors", 2500, ClassificationTally(3)}, {}};
  add(&facts.model.tally, 0, 9, 1);
  add(&facts.model.tally, 1, 10, 0);
  add(&facts.model.tally, 2, 16, 4);
  return facts;
}

EvaluationFacts with_reference(EvaluationFacts facts) {
  facts.against = {{"t.safetensors", 10000, ClassificationTally(3)}, {}};
  auto& [reference, pairs] = *facts.against;
  add(&reference.tally, 0, 9, 1);
  add(&reference.tally, 1, 8, 2);
  add(&reference.tally, 2, 20, 0);
  pairs.both = 33;
  pairs.only_reference = 4;
  pairs.only_model = 2;
  pairs.neither = 1;
  pairs.same = 34;
  pairs.kl_units = int64_t{4} << 24;
  return facts;
}

TEST(EvaluationJson, HoldsEveryNumber) {
  const Json json = evaluation_json(with_reference(facts_of()));
  EXPECT_EQ(json["file"], "s.safetensors");
  EXPECT_EQ(json["bytes"], 2500);
  EXPECT_EQ(json["data"], "insects");
  EXPECT_EQ(json["split"], "test");
  EXPECT_EQ(json["samples"], 40);
  EXPECT_EQ(json["correct"], 35);
  EXPECT_EQ(json["accuracy"], 87.5);
  EXPECT_EQ(json["low"], wilson_interval(35, 40).first);
  EXPECT_EQ(json["cross_entropy"], (35 * 0.25 + 5 * 1.25) / 40);
  EXPECT_EQ(json["top"], 3);
  EXPECT_EQ(json["top_accuracy"], 100);
  EXPECT_DOUBLE_EQ(json["calibration_error"], 100 * (35 * 0.125 + 5 * 0.625) / 40);
  EXPECT_EQ(json["calibration_bins"].size(), 15u);
  EXPECT_EQ(json["calibration_bins"][13]["samples"], 35);
  EXPECT_EQ(json["calibration_bins"][13]["confidence"], 0.875);
  EXPECT_EQ(json["classes"][2]["name"], "cat");
  EXPECT_EQ(json["classes"][2]["accuracy"], 80);
  EXPECT_EQ(json["confusion"], Json::parse("[[9,1,0],[0,10,0],[4,0,16]]"));
  const Json& against = json["against"];
  EXPECT_EQ(against["file"], "t.safetensors");
  EXPECT_EQ(against["accuracy"], 92.5);
  EXPECT_EQ(against["difference"], -5);
  EXPECT_EQ(against["agreement"], 85);
  EXPECT_EQ(against["kl"], 0.1);
  EXPECT_EQ(against["p"], mcnemar_p(4, 2));
  EXPECT_EQ(against["only_reference"], 4);
  EXPECT_EQ(against["classes_that_lost"],
            Json::parse(R"([{"name":"cat","samples":20,"reference":20,"model":16}])"));
  EXPECT_FALSE(evaluation_json(facts_of()).contains("against"));
}

TEST(EvaluationText, SaysWhatMatters) {
  const std::string text = evaluation_text(with_reference(facts_of({"ant", "b\x1b[31mee", "cat"})));
  for (const char* part :
       {"s.safetensors on insects/test (40 images): top-1 87.50 % (95 % interval 73.89 to 94.54)",
        "top-3 100.00 %", "cross-entropy 0.3750", "2,500 B", "against t.safetensors",
        "-5.00 points", "McNemar's exact p 0.688", "same answer for 85.00 %",
        "right alone: reference 4, model 2", "classes that lost most: cat (20 to 16 of 20)",
        "cat          ant (4)", "b\\x1b[31mee", "true \\ predicted"}) {
    EXPECT_TRUE(contains(text, part)) << part << "\n" << text;
  }
  EXPECT_FALSE(contains(text, "\x1b"));
  EXPECT_FALSE(contains(evaluation_text(facts_of()), "against"));
}

EvaluationFacts many_classes(int64_t count) {
  EvaluationFacts facts{"many", "test", {}, {"m.safetensors", 1, ClassificationTally(count)}, {}};
  for (int64_t c = 0; c < count; ++c) {
    facts.classes.push_back("class" + std::to_string(c));
    if (c != 1) add(&facts.model.tally, c, 10, static_cast<int>(c % 7));
  }
  return facts;
}

TEST(EvaluationText, OfManyClassesTheWorst) {
  const std::string text = evaluation_text(many_classes(100));
  EXPECT_TRUE(contains(text, "the 20 least accurate of 100 classes"));
  EXPECT_TRUE(contains(text, "\nclass6 ")) << text;
  EXPECT_FALSE(contains(text, "\nclass7 ")) << text;
  EXPECT_FALSE(contains(text, "true \\ predicted"));
  const auto worst = least_accurate(many_classes(100).model.tally, 100);
  EXPECT_EQ(worst.size(), 99u) << "a class without samples has no accuracy";
  EXPECT_EQ(worst.front(), 6);
}

TEST(EvaluationPage, IsWellFormedAndSelfContained) {
  const std::string evil = "<script>alert('&\"1\"')</script>";
  EvaluationFacts hostile = with_reference(facts_of({evil, "bee", ""}));
  hostile.data = hostile.model.file = hostile.against->reference.file = evil;
  EvaluationFacts empty{"none", "test", {"a"}, {"m", 0, ClassificationTally(1)}, {}};
  for (const EvaluationFacts& facts :
       {facts_of(), with_reference(facts_of()), hostile, empty, many_classes(2), many_classes(48),
        many_classes(49), many_classes(3000)}) {
    const std::string page = evaluation_page(facts);
    EXPECT_EQ(malformed(page), "");
    EXPECT_EQ(foreign_part(page), "");
  }
}

TEST(EvaluationPage, ShowsTheFacts) {
  const std::string page = evaluation_page(with_reference(facts_of()));
  for (const char* fact :
       {"87.50 %", "95 % interval 73.89 to 94.54 %", "-5.00 points", "p = 0.688",
        "cat taken for ant: 4 of 20 (20.0 %)", "cat recognized: 16 of 20 (80.0 %)",
        "35 images, on average 87.5 % sure, 100.0 % right", "Wrong answers by class",
        "reference: 20 of 20 right", "4.0 times this file", "Classes that lost most"}) {
    EXPECT_TRUE(contains(page, fact)) << fact;
  }
  EXPECT_FALSE(contains(evaluation_page(facts_of()), "reference"));
}

TEST(EvaluationFigures, IntervalsHaveCaps) {
  // A line and two caps for each class, in the drawing for wide and the one for narrow pages.
  EXPECT_EQ(times(class_figure(facts_of()), "class=\"interval\""), 2u * 3 * 3);
}

TEST(EvaluationFigures, TheMatrixIsDrawnForNarrowPagesToo) {
  const std::string html = confusion_figure(facts_of().model.tally, {"ant", "bee", "cat"});
  EXPECT_EQ(times(html, "<svg"), 2u);
  EXPECT_TRUE(contains(html, "viewBox=\"0 0 330 "));
  EXPECT_FALSE(contains(html, "darker")) << "on a dark page more is brighter";
}

TEST(EvaluationFigures, LeaveOutWhatCannotBeDrawn) {
  const EvaluationFacts many = many_classes(kMostDrawnClasses + 1);
  EXPECT_EQ(confusion_figure(many.model.tally, many.classes), "");
  EXPECT_TRUE(contains(class_figure(many), "40 of 49 classes"));
  const ClassificationTally nothing(3);
  EXPECT_EQ(confusion_figure(nothing, {"a", "b", "c"}), "");
  EXPECT_EQ(reliability_figure(nothing), "");
}

}  // namespace
}  // namespace bitstill
