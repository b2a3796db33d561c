# `agentdoctor here --script`: the shell one sits in, where nothing is
# installed.  It comes behind the functions of probe.sh, whose rules hold here,
# too; all of it becomes one `sh -c` command, which is read whole before it runs
# and whose parent is that shell.
#
# Its first line of output is the line that gives that shell a working agent
# (its own value where that works), or a comment if there is none; what it saw
# follows in comments.

# The records of look_at(), kept instead of written.
put() {
  case $1 in
    agent) kind=$4 ;;
  esac
}

put_answer() {
  asked_with=$1
  said=$2
}

# count_lines TEXT: the keys that ssh-add -L lists
count_lines() {
  count=0
  set -f
  for line in $1; do
    case $line in ssh-*" "*|ecdsa-*" "*|sk-*" "*) count=$((count + 1)) ;; esac
  done
  set +f
}

# count_hex HEX: the same of the bytes that an agent sent
count_hex() {
  hex=$(printf "%s" "$1" | tr -d " \n")
  case $hex in
    ????????0c????????*)
      hex=${hex#??????????}
      hex=${hex%"${hex#????????}"}
      count=$((0x$hex)) ;;
  esac
}

# look PATH: "KEYS STATE|PATH", KEYS being - where nobody answers
look() {
  asked_with=
  kind=
  said=
  count=-
  look_at "$1"
  case $asked_with in
    ssh-add)
      case $said in
        *=0) count_lines "$said" ;;
        *"has no identities"*) count=0 ;;
      esac ;;
    ?*) count_hex "$said" ;;
  esac
  case $count:$kind:$asked_with:$said in
    -:|-::*) state="does not exist" ;;
    -:L:*) state="a link that leads nowhere" ;;
    -:*[df]*) state="is no socket" ;;
    -:*S*::*) state="there is nothing here that could ask it" ;;
    -:*refused*) state="nobody listens there any more" ;;
    -:*denied*) state="access is denied" ;;
    -:*=124|-:*=137) state="no answer within 2 s" ;;
    -:*) state="no agent answers" ;;
    1:*) state="1 key" ;;
    *) state="$count keys" ;;
  esac
  printf "%s %s|%s\n" "$count" "$state" "$1"
}

# state_of PATH: sets count and state from what look said
state_of() {
  count=-
  state="not asked"
  set -f
  for line in $looked; do
    case $line in
      *"|$1")
        count=${line%% *}
        state=${line#* }
        state=${state%"|$1"}
        break ;;
    esac
  done
  set +f
}

# consider PATH: one more to look at, once
consider() {
  case $1 in
    /*) ;;
    *) return ;;
  esac
  case $1 in *[[:cntrl:]]*) return ;; esac
  case $candidates in *"$lf$1$lf"*) return ;; esac
  candidates=$candidates$1$lf
}

# quoted WORD: for a shell, in single quotes
quoted() {
  quote=$(printf "\047")
  escaped=$(printf "\047\134\047\047")
  left=$1
  word=
  while :; do
    case $left in
      *"$quote"*)
        word=$word${left%%"$quote"*}$escaped
        left=${left#*"$quote"} ;;
      *) break ;;
    esac
  done
  printf "%s%s%s" "$quote" "$word$left" "$quote"
}

# shown TEXT: what a terminal can bear, on one line
shown() {
  printf "%s" "$1" | tr -c "[:print:]" "?"
}

# choose PATH: the first that holds keys is it
choose() {
  [ "$chosen" ] && return
  [ "$1" ] && [ -O "$1" ] || return
  state_of "$1"
  case $count in
    -|0) ;;
    *) chosen=$1 ;;
  esac
}

here() {
  here_tmux=${TMUX%%,*}
  about $$
  uid=$owner
  user=${LOGNAME:-$USER}
  tmux=${TMUX_TMPDIR:-/tmp}/tmux-$uid
  read host </proc/sys/kernel/hostname || host=$(limit uname -n)
  initial_environment
  look_around /proc/[0-9]*
  server=$name
  far=$({ screens; processes; } | { tmux_servers | { links; cat; }; cat; })

  # The sockets of this very connection come first, then what tmux says.
  candidates=$lf
  handed_path=${initial#?}
  case $server:$handed_path in
    sshd*:*/ssh-??????????/agent.*|sshd*:*/.ssh/agent/s.*.sshd.*|dropbear*:*/dropbear-*/auth-*) consider "$handed_path" ;;
  esac
  set -f
  for socket in $sockets; do
    consider "$socket"
  done
  ours=$candidates
  consider "$own"
  tmux_values=
  at=
  for line in $far; do
    case $line in
      T*) at=${line#?} ;;
      t[+-]*:*:*:*:/*)
        consider "${line#*:*:*:*:}"
        [ "$at" = "$here_tmux" ] && tmux_values=$tmux_values${line#*:*:*:*:}$lf ;;
      tSSH_AUTH_SOCK=/*|vSSH_AUTH_SOCK=/*) consider "${line#*=}" ;;
      l/*) consider "${line#?}" ;;
    esac
  done
  set +f
  runtime=${XDG_RUNTIME_DIR:-/run/user/$uid}
  set --
  for socket in /tmp/ssh-*/agent.* "$HOME"/.ssh/agent/s.* /tmp/dropbear-*/auth-* "$runtime"/keyring/ssh "$runtime"/gcr/ssh "$runtime"/openssh_agent "$runtime"/ssh-agent.socket "$runtime"/gnupg/S.gpg-agent.ssh "$runtime"/vscode-ssh-auth-sock-* /tmp/vscode-ssh-auth-*; do
    [ -S "$socket" ] && [ -O "$socket" ] && set -- "$@" "$socket"
    [ $# -gt 63 ] && break
  done
  by_age=
  [ $# -gt 0 ] && by_age=$(limit ls -dt "$@")
  set -f
  for socket in $by_age; do
    consider "$socket"
  done
  set -- $candidates
  set +f
  looked=$(at_once look "$@")

  chosen=
  state_of "$own"
  own_state=$state
  case $own:$count in
    :*|*:-|*:0) ;;
    *) chosen=$own ;;
  esac
  set -f
  for path in $ours $tmux_values $by_age $candidates; do
    choose "$path"
  done
  set +f
  if [ "$chosen" ]; then
    printf "export SSH_AUTH_SOCK=%s\n" "$(quoted "$chosen")"
  else
    echo "# no agent of yours with keys answers here: connect anew with forwarding"
  fi
  report
}

# What was seen, in comments.
report() {
  echo "#"
  echo "# this shell on $(shown "$host")"
  if [ "$own" ]; then
    echo "#   SSH_AUTH_SOCK=$(shown "$own"): $own_state"
  else
    echo "#   SSH_AUTH_SOCK is not set"
  fi
  echo "# agents of yours with keys"
  none=yes
  set -f
  for line in $looked; do
    case $line in
      -*|"0 "*) ;;
      *)
        none=
        path=${line#*"|"}
        state=${line%%"|"*}
        connection_of "$path"
        echo "#   $(shown "$path"): ${state#* }${from:+, from $(shown "$from")}" ;;
    esac
  done
  [ "$none" ] && echo "#   none"
  at=
  title="# tmux"
  set -f
  for line in $far; do
    case $line in
      T*) at=${line#?} ;;
      t[+-]*:*:*:*:*)
        name=${line#*:*:*:}
        value=${line#*:*:*:*:}
        name=${name%%:*}
        said_by "session $name of $at" "$value" ;;
      tSSH_AUTH_SOCK=*) said_by "server $at" "${line#*=}" ;;
      t-SSH_AUTH_SOCK) said_by "server $at" "" ;;
      t=137|t=124) said_by "server $at does not answer" ;;
      S*) screen_value "${line##*/}" ;;
    esac
  done
  set +f
}

# said_by WHO VALUE: a line about it
said_by() {
  [ "$title" ] && echo "$title and screen"
  title=
  if [ $# = 1 ]; then
    echo "#   $(shown "$1")"
  elif [ "$2" ]; then
    state_of "$2"
    echo "#   $(shown "$1"): $(shown "$2"): $state"
  else
    echo "#   $(shown "$1"): no SSH_AUTH_SOCK"
  fi
}

# with_pid PID: the values (v lines) that name the process (p lines)
with_pid() {
  wanted_value=
  wanted_connection=
  last=
  set -f
  for entry in $far; do
    case $entry in
      v*) last=${entry#v} ;;
      p*)
        case "${entry#p} " in
          *" $1 "*)
            case $last in
              SSH_AUTH_SOCK=*) wanted_value=${last#*=} ;;
              SSH_CONNECTION=*) wanted_connection=${last#*=} ;;
            esac ;;
        esac ;;
    esac
  done
  set +f
}

# screen_value PID.NAME
screen_value() {
  with_pid "${1%%.*}"
  said_by "screen $1" "$wanted_value"
}

# connection_of PATH: sets from, by a process that names the path
connection_of() {
  from=
  last=
  pids=
  set -f
  for entry in $far; do
    case $entry in
      v*) last=${entry#v} ;;
      p*) [ "$last" = "SSH_AUTH_SOCK=$1" ] && pids=${entry#p} ;;
    esac
  done
  IFS=" "
  for pid in $pids; do
    IFS=$lf
    with_pid "$pid"
    from=${wanted_connection%% *}
    [ "$from" ] && break
  done
  IFS=$lf
  set +f
}

here
