// One job a folder: two that write into the same files would ship each other's.
#pragma once

#include <string>

namespace bitstill {

/// Holds `folder`/run.lock while it lives: a file that says who has the folder (host, boot, process
/// and its start time, the launcher's job). It outlives a holder that was killed; the next one sees
/// from these words that the holder is gone and takes it over: another boot of the same host, a
/// process that has ended, an earlier start of the same Slurm job, or of the same launch/run.sh
/// (BITSTILL_LAUNCH=TOKEN:GENERATION), whose later start takes it over even from one that still
/// runs. Else a holder on another host cannot be asked and counts as running.
class FolderLock {
 public:
  FolderLock() = default;  // holds nothing
  /// The folder exists. Error(settings) names the holder where another job has it, Error(storage)
  /// where the file cannot be written.
  explicit FolderLock(const std::string& folder);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&& other) noexcept;

  /// Reads the file again: Error(peer) when it no longer says what this lock wrote, since a later
  /// start has taken the folder over. To be called before anything there is replaced.
  void require_held() const;
  /// The bytes of the file: what a rank that sees the same folder reads there.
  const std::string& words() const { return words_; }
  static std::string path_in(const std::string& folder);

 private:
  void release();
  std::string path_, words_;
  int descriptor_ = -1;  // with flock(2), where the file system has it
};

}  // namespace bitstill
