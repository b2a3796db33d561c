#include "system/remote_shell.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <random>
#include <system_error>
#include <utility>

#include "system/text.h"

namespace agentdoctor {
namespace {

/// The way there and back takes its time, too.
constexpr Milliseconds kWay{2000};
constexpr std::size_t kOutputLimit = std::size_t{9} << 20;
constexpr Milliseconds kFilesLimit{5000};

/// What a shell says of a program that it does not find (sh(1)).
constexpr int kNotFound = 127;
/// 128 and the signal's number.
constexpr int kSignalled = 128;
constexpr int kSignals = 32;

// The commands of one place.  Standard input is the script itself, so every
// command gets an empty one.  Meanwhile another process waits for a line there,
// or for its end, which is the connection's: then the command is to end, with
// all that it has started.  An empty line that comes too late does no harm.
// The processes of a session are a group of their own, under most servers.
constexpr const char* kPrelude = R"(
exec 3<&0
trap : TERM
group=
read -r a b c d group rest 2>/dev/null </proc/$$/stat
errand() {
  trap : TERM
  word=$1
  shift
  "$@" </dev/null 3<&- &
  job=$!
  {
    read -r line <&3
    trap "" TERM
    if [ "$group" = $$ ]; then kill 0; else kill "$job"; fi
    kill -0 "$job" && sleep 1 && kill -9 "$job"
  } </dev/null >/dev/null 2>&1 &
  watch=$!
  wait "$job"
  status=$?
  {
    while kill -0 "$job"; do
      wait "$job"
      status=$?
      [ "$status" = 127 ] && break
    done
    kill -9 "$watch"
    wait "$watch"
  } 2>/dev/null
  printf "\n%s\n" "$word" >&2
  printf "\n%s %s\n" "$word" "$status"
}
)";

/// Files, each behind a line with the marker, its number and its time.
constexpr const char* kReadFiles = R"(
word=$1
shift
number=0
for file; do
  if [ -f "$file" ] && [ -r "$file" ]; then
    time=$(stat -L -c %Y "$file" || stat -L -f %m "$file" || echo 0) 2>/dev/null
    printf "\n%s %s %s\n" "$word" "$number" "$time"
    head -c 1048576 "$file"
  fi
  number=$((number + 1))
done
printf "\n%s " "$word"
)";

constexpr const char* kVariable = R"(
eval "[ \"\${$1+set}\" ]" || exit 1
eval "printf %s \"\$$1\""
)";

std::string RandomWord() {
  std::random_device random;
  std::string word = "agentdoctor";
  for (int i = 0; i < 4; ++i) word += "-" + std::to_string(random());
  return word;
}

/// The changes to the environment, as sh makes them.
std::string Assignments(const Command& command) {
  std::string text = "LC_ALL=C; export LC_ALL; ";
  for (const auto& [name, value] : command.environment)
    text += value ? name + "=" + ShellQuote(*value) + "; export " + name + "; "
                  : "unset " + name + "; ";
  return text;
}

std::int64_t ReadNumber(std::string_view text) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string LastLine(const std::string& text) {
  std::string last;
  for (const std::string& line : SplitLines(text))
    if (!Trim(line).empty()) last = Trim(line);
  return ValidUtf8(last);
}

}  // namespace

RemoteShell::RemoteShell() : random_(RandomWord()) {}

void RemoteShell::Expect(const Command* command) {
  answer_ = {};
  answer_.word = random_ + "-" + std::to_string(++count_);
  answer_.heard = Clock::now();
  command_ = command;
}

void RemoteShell::ReadOutput(std::string_view piece) {
  answer_.heard = Clock::now();
  if (answer_.status) return;
  const std::string marker = "\n" + answer_.word + " ";
  // The marker may come in pieces.
  const std::size_t from =
      answer_.out.size() - std::min(answer_.out.size(), 2 * marker.size());
  const std::size_t seen = answer_.out.size();
  answer_.out += piece;
  const std::size_t at = answer_.out.find(marker, from);
  const std::size_t end =
      at == std::string::npos ? at : answer_.out.find('\n', at + marker.size());
  if (end != std::string::npos) {
    answer_.status = static_cast<int>(
        ReadNumber(std::string_view(answer_.out).substr(at + marker.size())));
    answer_.out.resize(at);
  }
  if (command_ && command_->on_output && answer_.out.size() > seen &&
      command_->on_output(std::string_view(answer_.out).substr(seen)))
    answer_.stopped = true;
}

void RemoteShell::ReadErrorLine(std::string_view line) {
  answer_.heard = Clock::now();
  if (answer_.err_complete) return;
  if (line == answer_.word) {
    answer_.err_complete = true;
    return;
  }
  const auto deliver = [this](std::string_view text) {
    answer_.err += text;
    answer_.err += '\n';
    if (command_ && command_->on_error_line) command_->on_error_line(text);
  };
  // An empty one may be the marker's.
  if (std::exchange(answer_.blank, line.empty())) deliver("");
  if (!line.empty()) deliver(line);
}

/// kStopped: it is complete, or to be stopped.
ProcessEnd RemoteShell::Await(Milliseconds idle, Milliseconds total) {
  const Clock::time_point start = Clock::now();
  bool expired = false;
  const bool stopped = answer_.stopped;
  const std::size_t limit = command_ ? command_->output_limit : kOutputLimit;
  const ProcessEnd end = process_.WaitUntil([&] {
    if (answer_.complete() || answer_.stopped != stopped) return true;
    if (std::max(answer_.out.size(), answer_.err.size()) > limit) return true;
    const Clock::time_point now = Clock::now();
    expired = (idle.count() > 0 && now > answer_.heard + idle) ||
              (total.count() > 0 && now > start + total);
    return expired;
  });
  return expired ? ProcessEnd::kTimedOut : end;
}

ProcessResult RemoteShell::Lose(std::string why, ProcessEnd end) {
  lost_ = std::move(why);
  process_ = BackgroundProcess();
  ProcessResult result;
  result.end = end;
  result.error = lost_;
  return result;
}

std::string RemoteShell::Enter(const Way& way) {
  const std::lock_guard lock(mutex_);
  if (!lost_.empty()) return lost_;
  Expect(nullptr);
  // No single quote, `!`, line feed or double backslash: see probe.sh.
  Command command =
      way("exec sh -c 'printf \"\\n%s\\n\" " + answer_.word +
          " >&2; printf \"\\n%s 0\\n\" " + answer_.word + "; exec sh'");
  const Milliseconds limit =
      std::max(command.idle_limit, Milliseconds{0}) + kWay;
  try {
    if (entered_) {
      process_.Send(Assignments(command) + "exec 3<&-; exec " +
                    ShellQuote(command.argv) + "\n");
    } else {
      command.keep_input = true;
      command.idle_limit = Milliseconds{0};
      command.total_limit = Milliseconds{0};
      command.output_limit = kOutputLimit;
      command.on_output = [this](std::string_view piece) {
        ReadOutput(piece);
        return false;
      };
      command.on_error_line = [this](std::string_view line) {
        ReadErrorLine(line);
      };
      process_ = BackgroundProcess(std::move(command));
      entered_ = true;
    }
  } catch (const std::system_error& error) {
    return Lose(error.what(), ProcessEnd::kLost).error;
  }
  const ProcessEnd end = Await(limit, Milliseconds{0});
  if (!answer_.complete()) {
    const std::string words = LastLine(answer_.err);
    return Lose(end == ProcessEnd::kInterrupted ? "interrupted"
                : end == ProcessEnd::kTimedOut
                    ? "no answer within " + Duration(limit.count() / 1000)
                : words.empty() ? "it ended without a word"
                                : words,
                ProcessEnd::kLost)
        .error;
  }
  prelude_ = kPrelude;
  return {};
}

ProcessResult RemoteShell::Run(const Command& command) {
  const std::lock_guard lock(mutex_);
  if (!entered_ || !lost_.empty())
    return Lose(entered_ ? lost_ : "there is no session", ProcessEnd::kLost);
  Expect(&command);
  process_.Send(std::exchange(prelude_, {}) + "(" + Assignments(command) +
                "errand " + answer_.word + " " + ShellQuote(command.argv) +
                ")\n");
  const auto with_way = [](Milliseconds limit) {
    return limit.count() > 0 ? limit + kWay : limit;
  };
  ProcessResult result;
  result.end =
      Await(with_way(command.idle_limit), with_way(command.total_limit));
  if (answer_.stopped && !answer_.complete())
    Await(Milliseconds{0}, with_way(command.stop_limit));
  command_ = nullptr;
  const std::optional<int> status = answer_.status;
  if (result.end == ProcessEnd::kInterrupted) {
    result = Lose("interrupted", ProcessEnd::kInterrupted);
  } else if (result.end == ProcessEnd::kTimedOut || answer_.stopped) {
    // An empty line ends it over there; what it says then is of no interest.
    if (answer_.stopped) result.end = ProcessEnd::kStopped;
    if (!answer_.complete()) {
      process_.Send("\n");
      Await(Milliseconds{0}, kWay);
    }
    if (!answer_.complete()) Lose("it does not answer", result.end);
    if (result.end == ProcessEnd::kStopped && status) result.status = *status;
  } else if (!answer_.complete()) {
    const bool too_much = result.end == ProcessEnd::kStopped ||
                          result.end == ProcessEnd::kOutputLimit;
    const std::string words = LastLine(answer_.err);
    result = too_much
                 ? Lose("it sent too much", ProcessEnd::kOutputLimit)
                 : Lose(words.empty() ? "it ended" : words, ProcessEnd::kLost);
  } else if (*status == kNotFound && answer_.out.empty()) {
    result.end = ProcessEnd::kNotStarted;
    result.error = LastLine(answer_.err);
  } else if (*status > kSignalled && *status < kSignalled + kSignals) {
    result.end = ProcessEnd::kSignalled;
    result.status = *status - kSignalled;
  } else {
    result.end = ProcessEnd::kExited;
    result.status = *status;
  }
  result.out = std::move(answer_.out);
  result.err = std::move(answer_.err);
  return result;
}

std::map<std::string, FileText> RemoteShell::ReadFiles(
    const std::vector<std::string>& paths) {
  const std::string word = RandomWord();
  Command command{.argv = {"sh", "-c", kReadFiles, "sh", word},
                  .total_limit = kFilesLimit,
                  .output_limit = kOutputLimit};
  command.argv.insert(command.argv.end(), paths.begin(), paths.end());
  const ProcessResult result = Run(command);
  std::map<std::string, FileText> files;
  const std::string marker = "\n" + word + " ";
  // "NUMBER TIME LINE-FEED TEXT MARKER"
  std::size_t at = result.out.find(marker);
  while (at != std::string::npos) {
    at += marker.size();
    const std::size_t end = result.out.find(marker, at);
    const std::size_t head = result.out.find('\n', at);
    if (end == std::string::npos || head > end) break;
    const std::string_view text(result.out);
    const std::size_t blank = text.find(' ', at);
    const auto number = static_cast<std::size_t>(ReadNumber(text.substr(at)));
    if (blank < head && number < paths.size())
      files[paths[number]] = {
          std::string(text.substr(head + 1, end - head - 1)),
          ReadNumber(text.substr(blank + 1))};
    at = end;
  }
  return files;
}

std::optional<std::string> RemoteShell::Variable(const std::string& name) {
  const bool valid =
      !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_';
      });
  if (!valid) return std::nullopt;
  ProcessResult result = Run({.argv = {"sh", "-c", kVariable, "sh", name},
                              .total_limit = kFilesLimit});
  if (result.end != ProcessEnd::kExited || result.status != 0)
    return std::nullopt;
  return std::move(result.out);
}

std::string RemoteShell::Home() { return Variable("HOME").value_or("/"); }

}  // namespace agentdoctor
