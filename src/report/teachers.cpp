// The teacher's own run, for how a student stands to it.
#include <algorithm>
#include <filesystem>
#include <map>

#include "bitstill/report/report.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

/// Whether what `teacher`'s log says was measured is what the student learned from: the file of
/// this name and size, finished before the student began, and on the same data.
bool taught(const Run& teacher, const Run& student) {
  const std::string file = fs::path(student.teacher.file).filename().string();
  const auto same = [&](const auto& entry) {
    return entry.first == file && entry.second == student.teacher.bytes;
  };
  const auto method = std::find(teacher.settings.begin(), teacher.settings.end(),
                                std::pair<std::string, std::string>("quant.method", "none"));
  const bool measured = file == "student.safetensors" || method != teacher.settings.end();
  return teacher.finished && measured && !teacher.data.empty() && teacher.data == student.data &&
         teacher.ended <= student.started &&
         std::any_of(teacher.files.begin(), teacher.files.end(), same);
}

/// Null where there is none that can be read.
const Run* run_of(const fs::path& folder, std::map<fs::path, Run>& read) {
  const auto known = read.find(folder);
  if (known != read.end()) return &known->second;
  std::error_code failure;
  if (!fs::is_regular_file(folder / "run.jsonl", failure)) return nullptr;
  try {
    return &(read[folder] = read_run(folder.string()));
  } catch (const Error&) {
    return &(read[folder] = Run{});  // a damaged log says nothing of a teacher
  }
}

}  // namespace

void find_teachers(std::vector<Run>& runs) {
  std::map<fs::path, Run> read;
  for (Run& run : runs) {
    if (!(run.teacher.bytes > 0)) continue;
    const fs::path folder = fs::path(run.teacher.file).parent_path();
    if (const Run* beside = run_of(folder, read); beside != nullptr && taught(*beside, run)) {
      run.teacher.test = beside->test;
      continue;
    }
    // Where folders were moved since: the run of that name, if there is but one.
    const auto moved = [&](const Run& other) {
      return other.name == folder.filename() && taught(other, run);
    };
    if (std::count_if(runs.begin(), runs.end(), moved) == 1) {
      run.teacher.test = std::find_if(runs.begin(), runs.end(), moved)->test;
    }
  }
}

}  // namespace bitstill
