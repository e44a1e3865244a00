// What a program asks of its process: files, CPU time, signals.
#pragma once

#include "nat/time.hpp"

#include <cstdint>
#include <limits>

namespace nat::net {

constexpr std::uint64_t unlimited_files = std::numeric_limits<std::uint64_t>::max();

/// Raises the limit of open files as far as this user may, and returns it.
std::uint64_t raise_file_limit();

/// CPU time this thread has used so far; on systems without a clock for threads, that of the process.
duration thread_cpu_time();

/// Gives closed standard descriptors a /dev/null, so that no socket can become "stdin". First thing in `main`.
void open_standard_descriptors();

/// A stdout that was closed at the start takes what it gets, and drops it: for who has more to do than to print.
void let_closed_stdout_discard();

/// Makes a write to a pipe or socket that nobody reads an error (EPIPE) instead of the program's end.
void ignore_broken_pipes();

}  // namespace nat::net
