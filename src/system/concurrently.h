// Several waits at once.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <system_error>
#include <thread>
#include <vector>

namespace agentdoctor {

/// Runs \a task(0) ... \a task(count - 1), in at most \a most threads, and
/// returns when all have ended.  A task must not throw.
template <typename Task>
void Concurrently(std::size_t count, std::size_t most, const Task& task) {
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < count; i = next++) task(i);
  };
  std::vector<std::thread> threads;  // not jthread, which libc++ lacks
  try {
    for (std::size_t i = 1; i < std::min(count, most); ++i)
      threads.emplace_back(work);
  } catch (const std::system_error&) {
    // No more threads to be had: those there are do the work.
  }
  work();
  for (std::thread& thread : threads) thread.join();
}

}  // namespace agentdoctor
