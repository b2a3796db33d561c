// `agentdoctor agents`: which agent would be forwarded, then all there are.
#include <algorithm>
#include <cstddef>
#include <string>

#include "report/json.h"
#include "report/render.h"
#include "report/text_page.h"
#include "system/file.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr std::size_t kKeysShown = 12;
constexpr std::size_t kCommentColumns = 60;

std::string Keys(std::size_t count) {
  if (count == 0) return "no keys";
  return std::to_string(count) + (count == 1 ? " key" : " keys");
}

std::string Octal(int mode) {
  std::string text;
  for (int shift = 9; shift >= 0; shift -= 3)
    text += static_cast<char>('0' + ((mode >> shift) & 7));
  return text;
}

/// What came of asking, in words.
std::string Said(const Agent& agent) {
  const std::string detail = agent.detail.empty() ? "" : ": " + agent.detail;
  switch (agent.state) {
    case AgentState::kAnswered:
      return Keys(agent.identities.size());
    case AgentState::kMissing:
      return agent.link_target.empty()
                 ? "nothing is there"
                 : "a link that leads nowhere, to " + agent.link_target;
    case AgentState::kRefused:
      return "dead: nobody listens";
    case AgentState::kDenied:
      return "out of reach" + detail +
             (agent.denied_by.empty() ? "" : " by " + agent.denied_by);
    case AgentState::kDropped:
      return "hangs up without an answer";
    case AgentState::kNotASocket:
      return "no socket, but " + agent.detail;
    case AgentState::kPathTooLong:
      return "its path is too long" + detail;
    case AgentState::kSilent:
      return "does not answer" + detail;
    case AgentState::kMalformed:
      return "speaks no agent protocol" + detail;
    case AgentState::kListRefused:
      return "refuses to list its keys: it is locked, or needs your consent";
  }
  return {};
}

std::string Title(const AgentName& name) {
  if (name.file.empty()) return name.what;
  return (name.what == "a file" ? "" : name.what + " in ") +
         Abbreviate(name.file) +
         (name.line > 0 ? ":" + std::to_string(name.line) : "");
}

std::string Title(const AgentChoice& choice) {
  AgentName name{.what = Name(choice.source)};
  if (choice.line) {
    name.file = choice.line->file;
    name.line = choice.line->line;
  }
  return Title(name);
}

/// Until when a certificate holds; empty: for ever.
std::string Validity(const Certificate& certificate, std::int64_t now) {
  const auto moment = [](std::uint64_t seconds) {
    return Timestamp(static_cast<std::int64_t>(
        std::min<std::uint64_t>(seconds, 253402300799)));  // the year 9999
  };
  const auto at = static_cast<std::uint64_t>(std::max<std::int64_t>(now, 0));
  if (at < certificate.valid_after)
    return "not valid before " + moment(certificate.valid_after);
  if (at >= certificate.valid_before)
    return "expired at " + moment(certificate.valid_before);
  if (certificate.valid_before == ~std::uint64_t{0}) return {};
  return "valid until " + moment(certificate.valid_before);
}

/// What an agent makes of a request it does not know, in words.
std::string Said(ExtensionAnswer answer) {
  switch (answer) {
    case ExtensionAnswer::kNotAsked:
      return "not asked";
    case ExtensionAnswer::kSuccess:
      return "understood";
    case ExtensionAnswer::kFailure:
    case ExtensionAnswer::kExtensionFailure:
      return "refused";
    case ExtensionAnswer::kClosed:
      return "hangs up";
    case ExtensionAnswer::kSilent:
      return "no answer";
    case ExtensionAnswer::kMalformed:
      break;
  }
  return "malformed answer";
}

class AgentsText : private TextPage {
 public:
  using TextPage::TextPage;

  std::string Render(const AgentList& list) {
    Answer(list);
    if (style_.quiet) return std::move(out_);
    for (const ListedAgent& listed : list.agents) {
      Blank();
      Show(list, listed);
    }
    if (list.dead > 0) {
      Blank();
      Paragraph(2, list.dead == 1 ? "Also 1 socket of an agent that has ended."
                                  : "Also " + std::to_string(list.dead) +
                                        " sockets of agents that have ended.");
    }
    if (list.interrupted) Paragraph(2, "Interrupted: there may be more.");
    return std::move(out_);
  }

 private:
  /// The first line: what a session would get.
  void Answer(const AgentList& list) {
    const std::string where =
        list.destination.empty() ? "" : " to " + list.destination;
    std::string text;
    const int status = ExitStatus(list);
    if (const AgentChoice* choice = list.forwarded.get()) {
      const ListedAgent* listed = ForwardedAgent(list);
      if (listed) {
        text = "ssh would forward" + where + " the agent at " +
               listed->agent.path + ": " + Said(listed->agent);
      } else {
        text = "ssh would forward no agent" + where + ": " + Title(*choice);
        text += choice->source == AgentSource::kEnvironment
                    ? " is not set"
                    : " says " + choice->text;
      }
    } else {
      text = "which agent ssh would forward" + where +
             " is not known: " + list.forwarded.reason();
    }
    // An agent may be there, and nothing ask for it.
    if (const bool* requested = list.requested.get(); requested && !*requested)
      text += "; but the configuration asks for no forwarding there";
    const Mark mark = status == 0   ? MarkOf(Status::kPass)
                      : status == 1 ? MarkOf(Status::kFail)
                                    : MarkOf(Status::kSkip);
    out_ += TextPage::Show(mark) + " ";
    Flow(2, 2, Clean(text), Tone::kBold);
  }

  void Show(const AgentList& list, const ListedAgent& listed) {
    const Agent& agent = listed.agent;
    const bool named = listed.forwarded || !listed.named_by.empty();
    const Mark mark = agent.state == AgentState::kAnswered
                          ? agent.identities.empty() ? MarkOf(Status::kSkip)
                                                     : MarkOf(Status::kPass)
                      : named ? MarkOf(Status::kFail)
                              : MarkOf(Status::kWarn);
    out_ += "  " + TextPage::Show(mark) + " ";
    std::string text = Clean(agent.path);
    if (!agent.product.empty()) text += " (" + Clean(agent.product) + ")";
    Flow(4, 4, text + ": " + Clean(Said(agent)));
    if (!agent.link_target.empty() && agent.state != AgentState::kMissing)
      Paragraph(6, "a link to " + Clean(agent.link_target), Tone::kDim);
    std::string names;
    for (const AgentName& name : listed.named_by)
      names += (names.empty() ? "named by " : ", ") + Title(name);
    if (listed.in_environment) names += " (in the environment)";
    if (listed.forwarded) names += "; would be forwarded";
    Paragraph(6, Clean(names), Tone::kDim);
    ShowOwner(list, agent);
    ShowKeys(list, agent);
    if (style_.verbose && agent.query != ExtensionAnswer::kNotAsked)
      Paragraph(6,
                "extensions: query " + Said(agent.query) +
                    ", session-bind@openssh.com " + Said(agent.session_bind),
                Tone::kDim);
    else if (agent.session_bind == ExtensionAnswer::kClosed)
      Paragraph(6, "hangs up on session-bind@openssh.com");
  }

  void ShowOwner(const AgentList& list, const Agent& agent) {
    if (!agent.owner) return;
    const bool foreign = *agent.owner != list.uid;
    if (!foreign && agent.state != AgentState::kDenied && !style_.verbose)
      return;
    Paragraph(6,
              "owner " + std::to_string(*agent.owner) +
                  (agent.mode ? ", mode " + Octal(*agent.mode) : ""),
              foreign ? Tone::kWarning : Tone::kDim);
  }

  void ShowKeys(const AgentList& list, const Agent& agent) {
    const std::size_t count = agent.identities.size();
    const std::size_t shown =
        style_.verbose ? count : std::min(count, kKeysShown);
    std::size_t widest = 0;
    for (std::size_t i = 0; i < shown; ++i)
      widest = std::max(widest, Width(Clean(agent.identities[i].type)));
    for (std::size_t i = 0; i < shown; ++i) {
      const Identity& identity = agent.identities[i];
      std::string line = Clean(identity.type);
      line.append(widest - Width(line) + 2, ' ');
      line += Clean(identity.fingerprint);
      const std::string comment = Clean(identity.comment);
      if (!comment.empty())
        line +=
            "  " + (style_.verbose ? comment : Elide(comment, kCommentColumns));
      if (identity.certificate) {
        const std::string validity =
            Validity(*identity.certificate, list.started);
        if (!validity.empty()) line += "  (" + validity + ")";
      }
      Literal(6, line);
    }
    if (shown < count)
      Literal(6, "(" + std::to_string(count - shown) + " more with --verbose)");
  }
};

// -------------------------------------------------------------------- JSON --

Json Write(const AgentName& name) {
  Json json = {{"what", name.what}};
  if (!name.file.empty()) json["file"] = name.file;
  if (name.line > 0) json["line"] = name.line;
  return json;
}

Json Write(const Identity& identity, std::int64_t now) {
  Json json = {{"type", identity.type},
               {"fingerprint", identity.fingerprint},
               {"comment", identity.comment}};
  if (!identity.certificate) return json;
  const Certificate& certificate = *identity.certificate;
  const auto at = static_cast<std::uint64_t>(std::max<std::int64_t>(now, 0));
  json["certificate"] = {
      {"keyId", certificate.key_id},
      {"validAfter", certificate.valid_after},
      {"validBefore", certificate.valid_before == ~std::uint64_t{0}
                          ? Json(nullptr)
                          : Json(certificate.valid_before)},
      {"valid",
       at >= certificate.valid_after && at < certificate.valid_before}};
  return json;
}

Json Write(const ListedAgent& listed, std::int64_t now) {
  const Agent& agent = listed.agent;
  Json json = {{"path", agent.path},
               {"state", Name(agent.state)},
               {"summary", Said(agent)},
               {"product", agent.product},
               {"forwarded", listed.forwarded},
               {"inEnvironment", listed.in_environment}};
  json["namedBy"] = Json::array();
  for (const AgentName& name : listed.named_by)
    json["namedBy"].push_back(Write(name));
  if (!agent.link_target.empty()) json["linkTarget"] = agent.link_target;
  if (!agent.detail.empty()) json["detail"] = agent.detail;
  if (!agent.denied_by.empty()) json["deniedBy"] = agent.denied_by;
  if (agent.owner) json["owner"] = *agent.owner;
  if (agent.mode) json["mode"] = Octal(*agent.mode);
  json["keys"] = Json::array();
  for (const Identity& identity : agent.identities)
    json["keys"].push_back(Write(identity, now));
  json["query"] = Name(agent.query);
  json["sessionBind"] = Name(agent.session_bind);
  return json;
}

Json Write(const Fact<AgentChoice>& forwarded) {
  const AgentChoice* choice = forwarded.get();
  if (!choice) return {{"path", nullptr}, {"unknown", forwarded.reason()}};
  Json json = {{"path", choice->path ? Json(*choice->path) : Json(nullptr)},
               {"what", Name(choice->source)},
               {"text", choice->text}};
  if (choice->line) {
    json["file"] = choice->line->file;
    json["line"] = choice->line->line;
  }
  return json;
}

}  // namespace

std::string RenderAgentsText(const AgentList& list, const TextStyle& style) {
  return AgentsText(style).Render(list);
}

std::string RenderAgentsJson(const AgentList& list) {
  Json json = Document("agents", list.started, list.duration_ms);
  if (!list.destination.empty()) {
    json["destination"] = list.destination;
    const bool* requested = list.requested.get();
    json["requested"] = requested ? Json(*requested) : Json(nullptr);
  }
  json["forwarded"] = Write(list.forwarded);
  json["agents"] = Json::array();
  for (const ListedAgent& listed : list.agents)
    json["agents"].push_back(Write(listed, list.started));
  json["dead"] = list.dead;
  json["interrupted"] = list.interrupted;
  return Dump(json);
}

}  // namespace agentdoctor
