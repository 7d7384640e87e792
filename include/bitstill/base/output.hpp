// Standard output: what a command was asked for. Lost output is a failure like any other.
#pragma once

namespace bitstill {

/// Call first of all: where standard input, output or error is closed, its number is taken, so that
/// no file opened later becomes it and receives what is printed.
void occupy_standard_streams();

/// Hands over what was printed so far; Error(storage) when any of it is lost (a full disk, a closed
/// descriptor).
void flush_output();

}  // namespace bitstill
