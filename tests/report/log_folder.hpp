// A run folder with a log of given text, removed at the end of the test.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "bitstill/report/report.hpp"

namespace bitstill {

using LoggedRun = Run;  // inside a test Run is a member of its class

class LogFolder {
 public:
  explicit LogFolder(const std::string& log) {
    char pattern[] = "/tmp/bitstill_report_XXXXXX";
    path_ = mkdtemp(pattern);
    std::ofstream(path_ + "/run.jsonl", std::ios::binary) << log;
  }
  ~LogFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  LogFolder(const LogFolder&) = delete;
  LogFolder& operator=(const LogFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// A short whole log: start, two steps, an epoch, the end.
inline std::string whole_log() {
  return R"({"type":"start","time":"2026-01-01T00:00:00Z","command":"distill","settings":{"quant.method":"uniform","quant.bits":"4","train.epochs":"1","teacher.file":"runs/teacher/master.safetensors"},"versions":{"torch":"2.11.0"},"world":2,"host":"a","data":"d1","teacher_bytes":6000000,"network":{"kind":"convnet","widths":[6,12],"hidden":[24]},"parameters":15190}
{"type":"step","step":3,"epoch":0.5,"loss":1.5,"soft_loss":1.25,"hard_loss":2.5,"rate":0.05,"images_per_s":700,"ms":{"forward":3,"backward":5,"exchange":1,"exchange_busy":2},"bytes":{"gradients":60760,"control":8},"memory_mb":300}
{"type":"step","step":6,"epoch":1,"loss":null,"rate":0.01,"images_per_s":900,"ms":{"forward":5,"backward":9,"exchange":2,"exchange_busy":5}}
{"type":"epoch","epoch":1,"seconds":30,"train":{"loss":0.9,"accuracy":80},"validation":{"loss":0.5,"accuracy":91.25,"samples":401},"rate":0.01}
{"type":"end","time":"2026-01-01T00:02:00Z","seconds":66,"fp32_file_bytes":63258,"best_epoch":1,"test":{"samples":1000,"correct":975,"accuracy":97.5,"low":96.3,"high":98.3},"files":{"master.safetensors":{"bytes":61234},"student.safetensors":{"bytes":10207}}}
)";
}

}  // namespace bitstill
