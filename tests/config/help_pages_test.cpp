#include "bitstill/config/help_pages.hpp"

#include <gtest/gtest.h>

#include "bitstill/config/setting_table.hpp"

namespace bitstill {
namespace {

std::string help() {
  static std::string optimizer = "auto", device = "cpu", init = "random", file;
  static int64_t channels = 0;
  static bool resume = false;
  SettingTable table;
  std::vector<std::string> words;
  table.take_words(&words, "RUN...                      run folders");
  table.add("resume", &resume, "continue the run");
  table.add("quant.optimizer", &optimizer,
            "of what is learned: auto | adam | scaled (sums over sqrt(weights | points)) | sgd");
  table.add("run.device", &device, "cpu | cuda: where it runs");
  table.add("student.init", &init, "random | FILE (.safetensors)");
  table.add("channels", &channels, "1 | 3; 0: as the format has them");
  table.add("file", &file, ".a\\b file of the teacher's");
  return table.help();
}

TEST(HelpPages, CompletionKnowsNamesAndValues) {
  EXPECT_EQ(completion_part(help()),
            "    --quant.optimizer) echo 'auto adam scaled sgd' ;;\n"
            "    --run.device) echo 'cpu cuda' ;;\n"
            "    --student.init) echo 'random' ;;\n"
            "    --channels) echo '1 3' ;;\n"
            "    --file) ;;\n"
            "    *) echo '--resume --quant.optimizer --run.device --student.init --channels "
            "--file' ;;\n");
}

TEST(HelpPages, ManualHoldsEveryLineEscaped) {
  const std::string page = manual_part("bitstill x: does\n.it", help());
  EXPECT_EQ(page.rfind(".nf\nbitstill x: does\n\\&.it\n.fi\n.TP\n\\fBRUN...\\fR\nrun folders\n", 0),
            0U)
      << page;
  EXPECT_NE(page.find(".TP\n\\fB\\-\\-file\\fR\n\\&.a\\eb file of the teacher's\n"),
            std::string::npos)
      << page;
  EXPECT_NE(page.find("\\-\\-resume\\fR\ncontinue the run [false]\n"), std::string::npos) << page;
}

}  // namespace
}  // namespace bitstill
