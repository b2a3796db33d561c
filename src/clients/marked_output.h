// What a remote command printed, and the probe's part of it.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "probes/remote_side.h"

namespace agentdoctor {

/// Collects a remote command's output and finds the probe's part of it.
class MarkedOutput {
 public:
  explicit MarkedOutput(const ProbeCommand& probe) : probe_(probe) {}

  /// True when the end marker has come, once.
  bool Append(std::string_view piece) {
    text_ += piece;
    if (complete_) return false;
    const std::size_t end = text_.find(probe_.end_marker, searched_);
    searched_ = text_.size() - std::min(text_.size(), probe_.end_marker.size());
    if (end == std::string::npos) return false;
    const std::size_t begin = text_.rfind(probe_.begin_marker, end);
    if (begin == std::string::npos) return false;
    const std::size_t from = begin + probe_.begin_marker.size();
    between_ = text_.substr(from, end - std::min(from, end));
    complete_ = true;
    return true;
  }

  bool complete() const { return complete_; }
  const std::string& between() const { return between_; }
  const std::string& text() const { return text_; }

 private:
  const ProbeCommand& probe_;
  std::string text_;
  std::size_t searched_ = 0;
  bool complete_ = false;
  std::string between_;
};

}  // namespace agentdoctor
