// Whose a run folder is: it has one owner, holds one run, and loses nothing.
#pragma once

#include <string>
#include <vector>

#include "bitstill/base/folder_lock.hpp"
#include "bitstill/comm/world.hpp"
#include "bitstill/config/run_config.hpp"

namespace bitstill {

/// What a job was given: its folder, locked, and how it begins there.
struct ClaimedFolder {
  FolderLock lock;         // on rank 0
  std::string checkpoint;  // to go on from; empty: the run begins
  bool keeps_log = false;  // run.jsonl is continued
};

/// Rank 0 alone decides, the others follow:
///   holds               --resume            --resume=auto           --overwrite     none
///   nothing, no folder  error               begins                  begins          begins
///   a run, checkpoint   goes on             goes on                 moves, begins   error
///   ... damaged         error               goes on from an older   moves, begins   error
///                                           one, else error
///   a run's log alone   error               begins, keeps the log   moves, begins   error
///   a run's files, no   error               error                   moves, begins   error
///   checkpoint
///   something else      error               error                   error           error
/// Output files of schedulers (*.out, *.err, slurm-*) are nothing. `moves`: what runs write goes to
/// the next free NAME.N. A checkpoint is read as a whole before it is chosen. Then every rank has
/// proved that it sees this folder. AgreedError(settings) and (model, no checkpoint) say what to
/// give instead; (storage) where a folder cannot be written or is not shared. Collective: every
/// rank of world calls this.
ClaimedFolder claim_run_folder(World& world, const std::string& folder, Resume resume,
                               bool overwrite);

/// Moves these entries of `folder` to the next free NAME.N, whose name is the answer.
std::string move_aside(const std::string& folder, const std::vector<std::string>& entries);

}  // namespace bitstill
