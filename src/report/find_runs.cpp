#include "bitstill/report/find_runs.hpp"

#include <algorithm>
#include <filesystem>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

constexpr int kMostDepth = 5;  // of folders below a given one

bool hidden(const fs::path& path) {
  return path.filename().string().starts_with('.');
}

/// Adds the runs in and below `folder`, by name. Links to folders are not followed: they may lead
/// back.
void search(const fs::path& folder, int depth, FoundRuns& found) {
  if (is_run(folder.string())) {
    found.folders.push_back(folder.string());
    return;  // checkpoints are no runs
  }
  std::error_code failure;
  std::vector<fs::path> below;
  for (fs::directory_iterator entry(folder, failure), end; !failure && entry != end;
       entry.increment(failure)) {
    std::error_code gone;
    if (entry->is_directory(gone) && !entry->is_symlink(gone) && !hidden(entry->path())) {
      below.push_back(entry->path());
    }
  }
  if (failure) found.skipped.push_back(concat(folder.string(), " (", failure.message(), ")"));
  if (depth == kMostDepth) return;
  std::sort(below.begin(), below.end());
  for (const fs::path& next : below) search(next, depth + 1, found);
}

/// The same folder given twice, or below another given one, counts once.
void forget_repeated(std::vector<std::string>& folders) {
  std::vector<fs::path> known;
  std::erase_if(folders, [&](const std::string& folder) {
    std::error_code failure;
    const fs::path path = fs::canonical(folder, failure);
    const bool repeated = std::find(known.begin(), known.end(), path) != known.end();
    known.push_back(path);
    return repeated && !failure;
  });
}

}  // namespace

bool is_run(const std::string& folder) {
  std::error_code failure;
  return fs::exists(fs::path(folder) / "run.jsonl", failure);
}

FoundRuns find_runs(const std::vector<std::string>& paths) {
  FoundRuns found;
  for (const std::string& path : paths) {
    std::error_code failure;
    if (!fs::exists(path, failure)) {
      throw Error(ExitCode::data, path + ": there is no such folder; name folders of runs");
    }
    const std::size_t before = found.folders.size() + found.skipped.size();
    if (fs::is_directory(path, failure)) search(path, 0, found);
    if (found.folders.size() + found.skipped.size() == before) found.skipped.push_back(path);
  }
  forget_repeated(found.folders);
  if (found.folders.empty()) {
    throw Error(ExitCode::data,
                concat("no run in ", list_names(paths), ": the folder of a run holds run.jsonl, ",
                       "which train, distill and study write"));
  }
  return found;
}

std::vector<Run> read_runs(const std::vector<std::string>& folders) {
  std::vector<Run> runs;
  for (const std::string& folder : folders) {
    try {
      runs.push_back(read_run(folder));
    } catch (const Error& error) {
      if (folders.size() == 1) throw;
      runs.emplace_back();
      runs.back().folder = folder;
      runs.back().notes.emplace_back(error.what());
    }
  }
  find_teachers(runs);
  return runs;
}

}  // namespace bitstill
