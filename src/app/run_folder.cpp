#include "run_folder.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <thread>
#include <utility>

#include "bitstill/base/file.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/store/checkpoint_folder.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

/// A network file system may show a new file to other hosts some seconds late.
constexpr double kSeenWithin_s = 10;

const char* const kRunFiles[] = {"run.jsonl",           "recipe.cfg",
                                 "checkpoints",         "master.safetensors",
                                 "student.safetensors", "student_trained_norm.safetensors",
                                 "tensorboard",         "launch.hosts"};

/// A run that was killed while it replaced a file left NAME.partial.RANDOM.
std::string without_partial(const std::string& name) {
  return name.substr(0, name.find(".partial."));
}

/// Output of schedulers, make_folder's probe, what NFS keeps of a removed file: no one's work.
bool is_nothing(const std::string& name) {
  return name.starts_with("slurm-") || name.ends_with(".out") || name.ends_with(".err") ||
         name.starts_with(".writable.") || name.starts_with(".nfs");
}

struct Contents {
  std::vector<std::string> run;          // entries that runs write
  std::vector<std::string> checkpoints;  // their paths, the newest first
  std::string foreign;                   // the name of something else; empty: none
  /// Nothing but words about a run: no weights.
  bool log_alone() const {
    return std::all_of(run.begin(), run.end(), [](const std::string& name) {
      return name != without_partial(name) || name == "run.jsonl" || name == "recipe.cfg" ||
             name == "tensorboard" || name == "launch.hosts";
    });
  }
};

/// checkpoints/ is made before the first checkpoint, which a kill may have cut short.
bool holds_nothing(const fs::path& path) {
  return fs::is_directory(path) &&
         std::all_of(fs::directory_iterator(path), fs::directory_iterator(), [](const auto& entry) {
           const std::string name = entry.path().filename();
           return name != without_partial(name);
         });
}

Contents contents_of(const std::string& folder) {
  Contents contents;
  if (!fs::exists(folder)) return contents;
  const std::string lock = fs::path(FolderLock::path_in(folder)).filename();
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    const bool ours = std::find(std::begin(kRunFiles), std::end(kRunFiles),
                                without_partial(name)) != std::end(kRunFiles);
    if (ours && !holds_nothing(entry.path())) {
      contents.run.push_back(name);
    } else if (!ours && name != lock && !is_nothing(name)) {
      contents.foreign = name;
    }
  }
  const std::string checkpoints = folder + "/checkpoints";
  for (const int64_t step : checkpoint_steps(checkpoints)) {
    contents.checkpoints.push_back(concat(checkpoints, '/', checkpoint_name(step)));
  }
  const std::string last = checkpoints + "/last.safetensors";  // of version 0.1
  if (fs::exists(last)) contents.checkpoints.push_back(last);
  return contents;
}

}  // namespace

std::string move_aside(const std::string& folder, const std::vector<std::string>& entries) {
  std::string name = fs::absolute(folder).lexically_normal().string();
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  int number = 1;
  // create_directory tells whether it made it, so two jobs never share one.
  while (!fs::create_directory(concat(name, ".", number))) ++number;
  const std::string aside = concat(name, ".", number);
  for (const std::string& entry : entries) {
    fs::rename(fs::path(folder) / entry, fs::path(aside) / entry);
  }
  return aside;
}

namespace {

struct Decision {
  bool resumes = false;
  bool keeps_log = false;
  bool moves = false;
};

/// What is wrong with a checkpoint; empty: nothing.
std::string fault_of(const std::string& checkpoint) {
  try {
    if (is_checkpoint(checkpoint)) {
      verify_checkpoint(checkpoint);
    } else {
      verify_model_file(checkpoint);
    }
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

/// The newest that is as it was written; with Resume::yes the newest alone will do.
std::string whole_checkpoint(const std::vector<std::string>& checkpoints, Resume resume) {
  std::vector<std::string> faults;
  for (const std::string& checkpoint : checkpoints) {
    faults.push_back(fault_of(checkpoint));
    if (!faults.back().empty()) continue;
    if (faults.size() == 1) return checkpoint;
    if (resume == Resume::yes) {
      throw Error(ExitCode::model, concat(faults[0], "; --resume=auto goes on from ", checkpoint));
    }
    for (std::size_t i = 0; i + 1 < faults.size(); ++i) {
      warn(concat("--resume=auto: not from ", checkpoints[i], ": ", faults[i]));
    }
    return checkpoint;
  }
  throw Error(ExitCode::model, concat("--resume: no checkpoint is whole: ", faults[0],
                                      "; --overwrite moves the run aside and starts anew"));
}

Decision decide(const std::string& folder, const Contents& contents, Resume resume,
                bool overwrite) {
  if (contents.run.empty()) {
    if (!contents.foreign.empty()) {
      throw Error(ExitCode::settings, concat("run.folder = ", folder, " holds ", contents.foreign,
                                             " and no run; give a new or empty folder"));
    }
    if (resume == Resume::yes) {
      throw Error(ExitCode::model,
                  concat("--resume: ", folder, " holds no run; --resume=auto starts one there"));
    }
    return {};
  }
  if (overwrite) return {false, false, true};
  if (resume == Resume::no) {
    throw Error(ExitCode::settings,
                concat("run.folder = ", folder, " holds a run (", list_names(contents.run),
                       "); --resume continues it, --overwrite moves it to ", folder,
                       ".N, or give another folder"));
  }
  if (!contents.checkpoints.empty()) return {true, true, false};
  if (resume == Resume::automatic && contents.log_alone()) return {false, true, false};
  throw Error(ExitCode::model,
              concat("--resume: ", folder, " holds no checkpoint (checkpoints/step-N); ",
                     contents.log_alone() ? "--resume=auto starts its run anew"
                                          : "--overwrite moves what is there and starts anew"));
}

/// On rank 0.
ClaimedFolder claim(const std::string& folder, Resume resume, bool overwrite) {
  // Before anything is written: a folder that is not ours stays as it is.
  decide(folder, contents_of(folder), resume, overwrite);
  make_folder(folder);
  ClaimedFolder claimed;
  claimed.lock = FolderLock(folder);
  const Contents contents = contents_of(folder);  // now that nobody else changes it
  const Decision decision = decide(folder, contents, resume, overwrite);
  if (decision.moves) {
    say(concat("the earlier run of ", folder, " is now ", move_aside(folder, contents.run)));
  }
  if (decision.resumes) claimed.checkpoint = whole_checkpoint(contents.checkpoints, resume);
  if (resume == Resume::automatic && !decision.resumes) {
    say(concat("--resume=auto: ", folder, " holds no checkpoint, the run starts anew"));
  }
  make_folder(folder + "/checkpoints");
  claimed.keeps_log = decision.keeps_log;
  return claimed;
}

ClaimedFolder claim_without_surprise(const std::string& folder, Resume resume, bool overwrite) {
  try {
    return claim(folder, resume, overwrite);
  } catch (const fs::filesystem_error& error) {
    throw_system_error(ExitCode::storage, concat("run.folder = ", folder),
                       "use " + error.path1().string(), error.code().value());
  }
}

/// A folder of the same name on this host's own disk is another one.
void prove_same_folder(const std::string& folder, const std::string& words, const Place& place) {
  const Timer timer;
  for (;;) {
    try {
      if (read_file(FolderLock::path_in(folder), ExitCode::storage) == words) return;
    } catch (const Error&) {  // not there (yet)
    }
    if (timer.seconds() > kSeenWithin_s) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  throw Error(ExitCode::storage,
              concat("run.folder = ", folder, " on ", place.host,
                     " is not the folder that rank 0 writes into; give one on a file system that "
                     "all hosts share"));
}

}  // namespace

ClaimedFolder claim_run_folder(World& world, const std::string& folder, Resume resume,
                               bool overwrite) {
  Communicator& control = world.control();
  ClaimedFolder claimed;
  agree(control, [&] {
    if (world.place().rank == 0) claimed = claim_without_surprise(folder, resume, overwrite);
  });
  const std::string words = broadcast_text(control, claimed.lock.words(), 0);
  claimed.checkpoint = broadcast_text(control, claimed.checkpoint, 0);
  agree(control, [&] { prove_same_folder(folder, words, world.place()); });
  return claimed;
}

}  // namespace bitstill
