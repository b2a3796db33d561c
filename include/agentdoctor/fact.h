// One observation, or the reason why there is none.
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <utility>

namespace agentdoctor {

/// No observation could be made.  "Unknown" is not "absent": an agent that
/// refuses connections is a known fact; a socket we may not look at is not.
struct Unknown {
  std::string reason = {};
  bool operator==(const Unknown&) const = default;
};

/// The observation was left out on purpose.
struct NotNeeded {
  std::string because = {};
  bool operator==(const NotNeeded&) const = default;
};

/// Thrown by Fact::value() when there is no value; what() is the reason.
class FactUnknown : public std::exception {
 public:
  explicit FactUnknown(std::string reason) : reason_(std::move(reason)) {}
  const char* what() const noexcept override { return reason_.c_str(); }

 private:
  std::string reason_;
};

/// Something a probe found out: known, unknown with a reason, or not needed.
/// A new Fact is pending: nobody has looked yet.
template <typename T>
class Fact {
 public:
  Fact() = default;
  // Implicit on purpose: a probe returns a value or a reason.
  Fact(Unknown unknown)
      : state_(State::kUnknown), reason_(std::move(unknown.reason)) {}
  Fact(NotNeeded not_needed)
      : state_(State::kNotNeeded), reason_(std::move(not_needed.because)) {}
  Fact(T value) : value_(std::move(value)) {}

  bool known() const { return value_.has_value(); }
  bool pending() const { return !known() && state_ == State::kPending; }
  bool not_needed() const { return state_ == State::kNotNeeded; }

  /// The value.  Throws FactUnknown if there is none.
  const T& value() const {
    if (value_) return *value_;
    throw FactUnknown(reason());
  }
  const T& operator*() const { return value(); }
  const T* operator->() const { return &value(); }

  /// The value if known, else null.
  const T* get() const { return value_ ? &*value_ : nullptr; }
  T* get() { return value_ ? &*value_ : nullptr; }

  T value_or(T other) const { return known() ? value() : std::move(other); }

  /// Why there is no value; empty if there is one.
  std::string reason() const {
    if (not_needed()) return "not needed, because " + reason_;
    return bare_reason();
  }

  /// The reason alone, as it was given to Unknown or NotNeeded.
  std::string bare_reason() const {
    return pending() ? "not collected" : reason_;
  }

  bool operator==(const Fact&) const = default;

 private:
  // A std::variant of the four says the same, and makes files full of facts
  // take nearly twice as long to compile.
  enum class State { kPending, kUnknown, kNotNeeded };

  std::optional<T> value_;
  State state_ = State::kPending;  ///< of no meaning beside a value
  std::string reason_;
};

}  // namespace agentdoctor
