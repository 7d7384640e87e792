#include <gtest/gtest.h>

#include <cstdio>

#include "bitstill/report/figures.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/report.hpp"
#include "log_folder.hpp"
#include "page_check.hpp"

namespace bitstill {
namespace {

LoggedRun whole_run(const std::string& name) {
  const LogFolder folder(whole_log());
  LoggedRun run = read_run(folder.path());
  run.name = name;
  return run;
}

TEST(Page, TheCheckFindsWhatItShould) {
  EXPECT_EQ(malformed("<!DOCTYPE html><p a=\"1\">x<br/>&amp;</p>"), "");
  for (const char* bad : {"<p>", "<p></b>", "<p><b></p></b>", "<p>a & b</p>", "<p>1 < 2</p>",
                          "<p a=1></p>", "<p a=\"1\" a=\"2\"></p>"}) {
    EXPECT_NE(malformed("<!DOCTYPE html>" + std::string(bad)), "") << bad;
  }
}

TEST(Page, IsWellFormedAndSelfContained) {
  const std::string evil = "<script>alert('&\"1\"')</script>";
  LoggedRun hostile = whole_run(evil);
  hostile.command = hostile.started = evil;
  hostile.settings.emplace_back(evil, evil);
  hostile.versions.emplace_back(evil, "\x01" + evil);
  hostile.host = evil;
  hostile.network["kind"] = evil;
  hostile.notes = {evil};
  hostile.steps[0].ms.emplace_back(evil, 1e6);
  hostile.steps[0].bytes.emplace_back(evil, 1e9);
  LoggedRun bare;
  bare.folder = evil;
  for (const std::vector<LoggedRun>& runs : {std::vector<LoggedRun>{},
                                             {bare},
                                             {hostile},
                                             {whole_run("a"), hostile, bare, whole_run("a")}}) {
    const std::string page = report_page(runs);
    EXPECT_EQ(malformed(page), "");
    EXPECT_EQ(foreign_part(page), "");
  }
}

TEST(Page, ShowsTheRunsFacts) {
  const std::string page = report_page({whole_run("one"), whole_run("two")});
  for (const char* fact :
       {"97.5 % (96.3–98.3)", "10,207 B", "6.2x", "588x", "15,190", "uniform 4 bits",
        "convnet 6-12 fc 24", "Accuracy over size", "Where the time goes",
        "prefers-color-scheme:dark", "forward: 4.00 ms (32.0 %)"}) {
    EXPECT_TRUE(contains(page, fact)) << fact;
  }
}

TEST(Page, SaysThatARunHasNothingYet) {
  const LogFolder folder("");
  const std::string page = report_page({read_run(folder.path())});
  EXPECT_TRUE(contains(page, "the log is empty"));
  EXPECT_TRUE(contains(page, "No steps are in the logs yet"));
  EXPECT_TRUE(contains(report_page({}), "No runs"));
}

TEST(Table, HoldsTheRunsAndTheirNotes) {
  LoggedRun running;
  running.name = "new\x1b[31m";
  running.notes = {"the log is empty"};
  const std::string table = report_table({whole_run("student"), running});
  for (const char* fact : {"student", "distill", "uniform 4 bits", "15,190", "97.5 % (96.3–98.3)",
                           "91.2 %", "10,207 B", "6.2x", "588x", "1.10", "new\\x1b[31m",
                           "note: new\\x1b[31m: the log is empty"}) {
    EXPECT_TRUE(contains(table, fact)) << fact << "\n" << table;
  }
  EXPECT_EQ(report_table({}), "no runs\n");
}

TEST(Page, PhasesSumToTheStepAndTheHiddenExchangeStandsBelow) {
  const std::string page = report_page({whole_run("one")});
  // forward 4, backward 7 and the wait 1.5; of the 3.5 ms of exchange 2 went on meanwhile.
  for (const char* part :
       {">12.5 ms</text>", "forward: 4.00 ms (32.0 %)", "backward: 7.00 ms (56.0 %)",
        "exchange: 1.50 ms (12.0 %)", "exchange meanwhile: 2.00 ms"}) {
    EXPECT_TRUE(contains(page, part)) << part;
  }
  EXPECT_FALSE(contains(page, "exchange_busy"));
}

TEST(Page, ARunsSpeedIsImagesOverTime) {
  LoggedRun run = whole_run("one");
  run.steps[0].images_per_s = 100;
  run.steps[1].images_per_s = 300;  // as many images in a third of the time
  EXPECT_TRUE(contains(report_page({run}), ">150/s<"));
}

TEST(Page, ColumnsWithoutAnyValueAreLeftOut) {
  LoggedRun run = whole_run("one");
  EXPECT_TRUE(contains(report_table({run}), "Smaller than teacher"));
  EXPECT_FALSE(contains(report_table({run}), "Points to teacher"));  // its run is not known
  run.teacher = {};
  EXPECT_FALSE(contains(report_table({run}), "Smaller than teacher"));
}

TEST(Page, LongNamesAreCut) {
  const LoggedRun run = whole_run(std::string(300, 'x'));
  for (const std::string& text : {report_page({run, whole_run("two")}), report_table({run})}) {
    EXPECT_FALSE(contains(text, std::string(70, 'x')));
    EXPECT_TRUE(contains(text, "xx…xx"));
  }
  EXPECT_TRUE(contains(report_csv({run}), std::string(300, 'x')));
}

TEST(ReportCsv, HoldsEveryFactOnALine) {
  LoggedRun run = whole_run("a \"b\",\nc");
  run.folder = "runs/a";
  run.teacher.test = {kMissing, kMissing, kMissing, 98, 97, 98.7, 1000};
  const std::string csv = report_csv({run, whole_run("two")});
  EXPECT_EQ(csv.substr(0, csv.find('\r')),
            "name,folder,command,method,network,parameters,world,epochs,planned_epochs,finished,"
            "test_accuracy,test_accuracy_low,test_accuracy_high,test_samples,points_to_teacher,"
            "points_to_teacher_low,points_to_teacher_high,validation_accuracy,file_bytes,"
            "fp32_file_bytes,smaller_than_fp32,teacher_file_bytes,smaller_than_teacher,seconds,"
            "started");
  EXPECT_TRUE(
      contains(csv,
               "\r\n\"a \"\"b\"\",\nc\",runs/a,distill,uniform 4 bits,convnet 6-12 fc 24,15190,2,1,"
               "1,true,97.5,96.3,98.3,1000,-0.5,"))
      << csv;
  EXPECT_TRUE(contains(csv, ",91.25,10207,63258,6.19"));
  EXPECT_TRUE(contains(csv, ",1000,,,,91.25,")) << "no points to a teacher: nothing";
}

TEST(ReportJson, HoldsSettingsCurvesAndNotes) {
  LoggedRun run = whole_run("one");
  run.notes = {"resumed"};
  const Json json = Json::parse(report_json({run}).dump())["runs"][0];
  EXPECT_EQ(json["test_accuracy"], 97.5);
  EXPECT_EQ(json["points_to_teacher"], nullptr);
  EXPECT_EQ(json["settings"]["quant.bits"], "4");
  EXPECT_EQ(json["curves"][0]["validation_accuracy"], 91.25);
  EXPECT_EQ(json["curves"][0]["rate"], 0.01);
  EXPECT_EQ(json["notes"][0], "resumed");
}

TEST(Figures, FrontierHoldsWhatNoOtherBeatsInBoth) {
  std::vector<SizePoint> points;
  const double given[][2] = {{60, 97}, {10, 95}, {10, 96}, {100, 97}, {30, 90}, {5, 70}, {200, 99}};
  for (const auto& [bytes, accuracy] : given) points.push_back({"", "", bytes, accuracy});
  points.push_back({"no test", "", 1, kMissing});
  points.push_back({"no file", "", kMissing, 99.5});
  EXPECT_EQ(frontier(points), (std::vector<std::size_t>{5, 2, 0, 6}));
  EXPECT_TRUE(frontier({}).empty());
}

TEST(Figures, ThinKeepsMeansAndTheEnd) {
  std::vector<Point> points;
  for (int i = 0; i < 1003; ++i) points.push_back({i * 0.5, i < 500 ? 1.0 : 3.0});
  const auto few = thin(points, 7);
  ASSERT_EQ(few.size(), 7u);
  EXPECT_EQ(few.front().y, 1);
  EXPECT_EQ(few.back().y, 3);
  EXPECT_EQ(few.back().x, 501);
  EXPECT_EQ(thin(points, 2000).size(), points.size());
}

TEST(Markup, EscapesAndShortens) {
  EXPECT_EQ(escape_html("<a href=\"x\">'&'\n"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;\\n");
  EXPECT_EQ(escape_html("a\u202eb\x01"), "a\\u202eb\\x01");
  EXPECT_EQ(shorten("größer", 6), "größer");
  EXPECT_EQ(shorten("größer", 4), "gr…r");
  EXPECT_EQ(shorten("größer", 1), "…");
}

TEST(Markup, NumbersReadWell) {
  EXPECT_EQ(grouped(857738), "857,738");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(-1234567), "-1,234,567");
  EXPECT_EQ(grouped(-123), "-123");
  EXPECT_EQ(fixed(-0.004, 2), "0.00");
  EXPECT_EQ(fixed(-0.006, 2), "-0.01");
  EXPECT_EQ(compact(0.05), "0.05");
  EXPECT_EQ(compact(1234), "1.23k");
  EXPECT_EQ(compact(999.9), "1k");
  EXPECT_EQ(compact(kMissing), "-");
}

}  // namespace
}  // namespace bitstill
