// One observation, or the reason why there is none.
#pragma once

#include <exception>
#include <string>
#include <utility>
#include <variant>

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
  Fact(Unknown unknown) : state_(std::move(unknown)) {}
  Fact(NotNeeded not_needed) : state_(std::move(not_needed)) {}
  Fact(T value) : state_(std::in_place_type<T>, std::move(value)) {}

  bool known() const { return std::holds_alternative<T>(state_); }
  bool pending() const {
    return std::holds_alternative<std::monostate>(state_);
  }
  bool not_needed() const { return std::holds_alternative<NotNeeded>(state_); }

  /// The value.  Throws FactUnknown if there is none.
  const T& value() const {
    if (const T* value = std::get_if<T>(&state_)) return *value;
    throw FactUnknown(reason());
  }
  const T& operator*() const { return value(); }
  const T* operator->() const { return &value(); }

  /// The value if known, else null.
  const T* get() const { return std::get_if<T>(&state_); }
  T* get() { return std::get_if<T>(&state_); }

  T value_or(T other) const { return known() ? value() : std::move(other); }

  /// Why there is no value; empty if there is one.
  std::string reason() const {
    if (known()) return {};
    if (const auto* unknown = std::get_if<Unknown>(&state_))
      return unknown->reason;
    if (const auto* not_needed = std::get_if<NotNeeded>(&state_))
      return "not needed, because " + not_needed->because;
    return "not collected";
  }

  /// The reason alone, as it was given to Unknown or NotNeeded.
  std::string bare_reason() const {
    if (const auto* not_needed = std::get_if<NotNeeded>(&state_))
      return not_needed->because;
    return reason();
  }

  bool operator==(const Fact&) const = default;

 private:
  std::variant<std::monostate, Unknown, NotNeeded, T> state_;
};

}  // namespace agentdoctor
