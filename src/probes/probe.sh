# The probe: what one user sees on the far side of a connection.  It only
# reads, leaves no file and starts nothing that stays.
#
# remote_side.cc makes one line of it and sends `sh -c 'r=RANDOM; ...'; true`,
# so there must be no single quote, no exclamation mark (csh's history) and no
# two backslashes in a row (fish reads them as one, quoted or not).  A line gets
# a `;` unless it ends in something after which a command may follow.  Comments
# stand on lines of their own.
#
# It writes records, "KEY NUL VALUE NUL", in hexadecimal between two markers,
# which do not stand in this text: an echoed command line is no answer.  A value
# that may be missing begins with + (known), - (unset) or ? (why not known).
# What the shell can do itself needs no process: every millisecond counts.

exec </dev/null 2>/dev/null
locale=$LC_ALL
LC_ALL=C
export LC_ALL
unset GREP_OPTIONS
# A line feed: the third of the characters that IFS begins with.
lf=${IFS#??}
lf=${lf%"${lf#?}"}

# put KEY VALUE...: records.  The lengths keep the whole answer, three
# characters for a byte, below what the near side reads (1 MiB).
put() {
  printf "%s\0%.8192s\0" "$@"
}

put_long() {
  printf "%s\0%.49152s\0" "$@"
}

# What an agent said: of this session's in full, of the others' so much that it
# is seen whose they are.
put_answer() {
  printf "answer\0%.${answer_size:-32768}s\0" "$1"
}

# note PREFIX TEXT: one line for long_lived.cc; line feeds become a byte 1.
note() {
  text=$2
  while :; do
    case $text in
      *"$lf"*)
        soh=${soh:-$(printf "\1")}
        text=${text%%"$lf"*}$soh${text#*"$lf"} ;;
      *) break ;;
    esac
  done
  printf "%s%.512s\n" "$1" "$text"
}

has() {
  command -v "$1" >/dev/null
}

# at_once FUNCTION ARGUMENT...: calls it for every argument, all at the same
# time; what they write stays apart and in order.
at_once() {
  case $# in
    1) ;;
    2) "$1" "$2" ;;
    *)
      at_once_this=$2
      at_once_all=$1
      shift 2
      at_once "$at_once_all" "$@" | { "$at_once_all" "$at_once_this"; cat; } ;;
  esac
}

# limit SECONDS COMMAND...: ends a program that hangs, with status 137.  The
# second way is for systems without timeout (macOS), and for busybox before
# 1.30, which takes the seconds for the program.  (`last` is the parameter that
# names the last background process: it is spelt with an exclamation mark.)
limit() {
  seconds=$1
  shift
  if has timeout; then
    timeout -s KILL "$seconds" "$@"
    result=$?
    case $result in 125|126|127) ;; *) return "$result" ;; esac
  fi
  last=$(printf "\$\041")
  "$@" <&0 &
  eval "child=$last"
  {
    trap "kill \$sleeper; exit" TERM
    sleep "$seconds" &
    eval "sleeper=$last"
    wait "$sleeper" && kill -9 "$child"
  } >/dev/null &
  eval "watch=$last"
  wait "$child"
  result=$?
  kill "$watch"
  wait "$watch"
  return "$result"
}

# Bytes to hexadecimal, with what there is.  (No exec: ksh runs the last part of
# a pipeline itself.)
encode() {
  if has od; then
    od -An -v -tx1
  elif has hexdump; then
    hexdump -v -e "1/1 \"%02x\""
  elif has xxd; then
    xxd -p
  elif has perl; then
    perl -ne "print unpack(q(H*), \$_)"
  elif has python3; then
    python3 -c "import sys;print(sys.stdin.buffer.read().hex())"
  else
    echo none
  fi
}

# ------------------------------------------------------------ who and where --

identity() {
  uid=
  while read -r key real effective rest; do
    case $key in Uid:) uid=$effective; break ;; esac
  done <"/proc/$$/status"
  [ "$uid" ] || uid=$(limit 2 id -u)
  host=
  read -r host </proc/sys/kernel/hostname
  [ "$host" ] || host=$(limit 2 uname -n)
  boot=
  read -r boot </proc/sys/kernel/random/boot_id
}

# SSH_AUTH_SOCK as sshd handed it over: the login shell is our parent (`; true`
# keeps it from becoming us), and the kernel shows the environment that a
# process began with.  No other variable leaves the host.
initial_environment() {
  handed_path=
  initial=-
  handed=$(tr "\0\n" "\n\1" <"/proc/$PPID/environ")
  if [ "$handed" ]; then
    set -f
    IFS=$lf
    for entry in $handed; do
      case $entry in
        SSH_AUTH_SOCK=*)
          handed_path=${entry#*=}
          initial=+$handed_path
          break ;;
      esac
    done
    unset IFS
    set +f
  elif [ -d "/proc/$PPID" ]; then
    initial="?the environment of the login shell can not be read"
  else
    initial="?there is no /proc"
  fi
}

# --------------------------------------------- sockets sshd made for us here --

# name_and_parent PID: sets name and parent
name_and_parent() {
  name=
  parent=
  while read -r key value rest; do
    case $key in
      Name:) name=$value${rest:+ $rest} ;;
      PPid:) parent=$value; return ;;
    esac
  done <"/proc/$1/status"
  [ -d /proc/self ] && return
  set -- $(limit 2 ps -o ppid= -o comm= -p "$1")
  parent=$1
  name=${2##*/}
}

# Up to OpenSSH 10.0 sshd names its socket after the process of the session, so
# it can be found; later ones lie in ~/.ssh/agent under random names, dropbear
# makes up its own.  These are looked for only if the variable that sshd handed
# over is set and was somebody else's, or is not known.
connection() {
  sockets=
  ancestors=
  ancestor_names=
  process=$PPID
  while [ "${process:-0}" -gt 1 ]; do
    name_and_parent "$process"
    ancestors="$ancestors $process"
    readable=-
    [ -r "/proc/$process/environ" ] && readable=+
    ancestor_names=$ancestor_names$process$readable$name$lf
    for socket in /tmp/ssh-??????????/agent."$process"; do
      [ -S "$socket" ] && sockets="$sockets $socket"
    done
    case $name in sshd*|dropbear*) break ;; esac
    process=$parent
  done
  server=$name
  others=+
  case $initial in
    -|*/ssh-??????????/agent.*|*/.ssh/agent/s.*.sshd.*|*/dropbear-*/auth-*) return ;;
  esac
  set -- -type s
  if has find; then
    if read -r line <"/proc/$process/stat" && read -r now rest </proc/uptime; then
      line=${line##*")"}
      age=$(set -- $line; echo $((${now%.*} - ${20} / 100)))
      [ "$age" ] && set -- -type s -mmin "-$((age / 60 + 1))"
    fi
    others=+$(limit 2 find "$HOME/.ssh/agent" -name "s.*.sshd.*" "$@"; limit 2 find /tmp/dropbear-* -name "auth-*" "$@")
  else
    others="?there is no find"
  fi
}

# ------------------------------------------------------------------- agents --

# The first element of the path that may not be passed, or the path itself.
denied() {
  reached=
  left=${1#/}
  while [ "$left" ]; do
    case $left in
      */*) reached=$reached/${left%%/*}; left=${left#*/}; [ -x "$reached" ] && continue ;;
      *) reached=$reached/$left ;;
    esac
    put denied "$reached" denied_entry "$(limit 2 ls -ldn "$reached")"
    return
  done
}

# The list request of the agent protocol: a length and the byte 11.
list_request() {
  printf "\0\0\0\1\13"
}

# ask NAME COMMAND...: sends the request through a program that speaks to the
# socket.  It must not shut its side down, or ssh-agent hangs up before it
# answers; so some end only at the limit, with the answer.
ask() {
  put asked "$1"
  shift
  put_answer "$({ list_request | limit 2 "$@" 2>&1; printf "=%s" $?; } | encode)"
}

ask_ssh_add() {
  answer=$(SSH_AUTH_SOCK=$1; export SSH_AUTH_SOCK; limit 2 ssh-add -L 2>&1; printf "=%s" $?)
  case $answer in *=12[67]) return 1 ;; esac
  put asked ssh-add
  put_answer "$answer"
}

# An agent, by the path of its socket: what stands there, and what it says.  A
# path that does not fit sun_path would be cut off silently.
agent() {
  [ "$1" ] || return
  put agent "$1"
  kind=
  [ -L "$1" ] && kind=L
  if [ -S "$1" ]; then kind=${kind}S
  elif [ -d "$1" ]; then kind=${kind}D
  elif [ -f "$1" ]; then kind=${kind}F
  elif [ -e "$1" ]; then kind=${kind}E
  fi
  [ -O "$1" ] && kind=${kind}O
  put kind "$kind"
  case $kind in L*) put link "$(limit 2 readlink "$1" || limit 2 ls -ld "$1")" ;; esac
  case $kind in *[SDFE]) put entry "$(limit 2 ls -ldnL "$1")" ;; esac
  [ ${#1} -gt 107 ] && return
  if has ssh-add && ask_ssh_add "$1"; then
    case $answer in *denied*) denied "$1" ;; esac
  elif has python3; then
    ask python3 python3 -c "import os,socket,sys;s=socket.socket(socket.AF_UNIX);e=s.connect_ex(sys.argv[1]);e and (print(os.strerror(e)),sys.exit());s.sendall(sys.stdin.buffer.read());f=s.makefile(\"rb\");h=f.read(4);sys.stdout.buffer.write(h+f.read(min(int.from_bytes(h,\"big\"),65536)))" "$1"
  elif has perl; then
    ask perl perl -e "use Socket;use POSIX ();socket(S,PF_UNIX,SOCK_STREAM,0);unless(connect(S,sockaddr_un(\$ARGV[0]))){print POSIX::strerror(POSIX::errno());exit}sysread(STDIN,\$q,5);syswrite(S,\$q);\$d=q();while(length(\$d)<4||length(\$d)<4+unpack(q(N),\$d)){last if length(\$d)>65536;last unless sysread(S,\$b,65536);\$d.=\$b}print \$d" "$1"
  elif has socat; then
    case $1 in
      *[,:]*) ;;
      *) ask socat socat -t 9 - "UNIX-CONNECT:$1,shut-none" ;;
    esac
  elif has nc; then
    ask nc nc -U "$1"
  fi
}

# The agents that sshd meant, where the shell has another.  A line feed in the
# variable did not survive.
other_agents() {
  case $handed_path in
    "$SSH_AUTH_SOCK"|*[[:cntrl:]]*) ;;
    *) agent "$handed_path" ;;
  esac
  for socket in $sockets; do
    case $socket in
      "$SSH_AUTH_SOCK"|"$handed_path") ;;
      *) agent "$socket" ;;
    esac
  done
}

# -------------------------------------------------------------------- files --

# add FILE...: puts those that can be read on the list
add() {
  for file; do
    if [ -f "$file" ] && [ -r "$file" ]; then files=$files$file$lf; fi
  done
}

# search OPTIONS PATTERN: the lines of the listed files, as FILE:LINE:TEXT
search() {
  set -f
  IFS=$lf
  limit 5 grep "$1" -e "$2" /dev/null $files
}

# Lines of start-up files that may concern an agent, of sshd_config about
# forwarding, of ssh_config about IdentityAgent: one grep finds them all, and in
# the default files of a distribution it finds next to nothing.
startup_lines() {
  server_config="?/etc/ssh/sshd_config can not be read there"
  [ -r /etc/ssh/sshd_config ] && server_config=+
  [ -f /etc/ssh/sshd_config ] || server_config="?there is no /etc/ssh/sshd_config"
  files=
  zsh=${ZDOTDIR:-$HOME}
  fish=${XDG_CONFIG_HOME:-$HOME/.config}/fish
  add /etc/ssh/sshd_config /etc/ssh/sshd_config.d/*.conf
  add "$HOME/.ssh/config" /etc/ssh/ssh_config /etc/ssh/ssh_config.d/*.conf
  add /etc/security/pam_env.conf "${XDG_CONFIG_HOME:-$HOME/.config}"/environment.d/*.conf "${GNUPGHOME:-$HOME/.gnupg}/gpg-agent.conf"
  add /etc/environment "$HOME/.pam_environment" "$HOME/.ssh/environment" /etc/ssh/sshrc "$HOME/.ssh/rc"
  case ${SHELL##*/} in
    zsh)
      add /etc/zsh/zshenv /etc/zshenv "$zsh/.zshenv" /etc/zsh/zprofile /etc/zprofile "$zsh/.zprofile"
      add /etc/zsh/zshrc /etc/zshrc "$zsh/.zshrc" /etc/zsh/zlogin /etc/zlogin "$zsh/.zlogin"
      [ "$zsh" = "$HOME" ] || add "$HOME/.zshenv" ;;
    fish) add /etc/fish/conf.d/*.fish /etc/fish/config.fish "$fish"/conf.d/*.fish "$fish/config.fish" ;;
    csh|tcsh)
      add /etc/csh.cshrc /etc/csh.login /etc/profile.d/*.csh
      if [ -f "$HOME/.tcshrc" ]; then add "$HOME/.tcshrc"; else add "$HOME/.cshrc"; fi
      add "$HOME/.login" ;;
    *)
      add /etc/profile /etc/profile.d/*.sh /etc/bash.bashrc /etc/bashrc
      add "$HOME/.bash_profile" "$HOME/.bash_login" "$HOME/.profile" "$HOME/.bashrc"
      add /etc/ksh.kshrc "$HOME/.kshrc" "$HOME/.mkshrc" ;;
  esac
  agent_words="ssh_auth_sock|ssh-agent|keychain|gpgconf|gpg-agent|gnome-keyring|enable-ssh-support"
  config_words="(allowagentforwarding|disableforwarding|match|include|identityagent)[[:space:]=]"
  lines=$(search -niE "^[[:space:]]*(([^#[:space:]].*)?($agent_words)|$config_words)")
  files=
  context=
  more_server_config=
  ask_ssh=
  set -f
  IFS=$lf
  for line in $lines; do
    file=${line%%:*}
    text=${line#*:*:}
    case $file in
      /etc/ssh/sshd_config)
        case $text in
          *"/etc/ssh/sshd_config.d/*.conf"*) ;;
          *[Ii][Nn][Cc][Ll][Uu][Dd][Ee]*) more_server_config="$more_server_config ${text#*[Ee][ =]}" ;;
        esac ;;
      /etc/ssh/sshd_config.d/*|*/.ssh/environment|*/.pam_environment|/etc/environment|/etc/security/pam_env.conf|*/environment.d/*|*/gpg-agent.conf) ;;
      */.ssh/config|/etc/ssh/ssh_config*)
        case $text in
          *"/etc/ssh/ssh_config.d/*.conf"*) ;;
          *[Ii][Nn][Cc][Ll][Uu][Dd][Ee]*|*[Aa][Gg][Ee][Nn][Tt]*) ask_ssh=yes ;;
        esac ;;
      *)
        case $lf$files in
          *"$lf$file$lf"*) ;;
          *) files=$files$file$lf ;;
        esac ;;
    esac
  done
  unset IFS
  # To judge a line takes the lines around it, but no assignments: secrets are
  # kept in those.
  if [ "$files" ]; then
    context=$(search -nvE "^[[:space:]]*(#|\$|(alias|abbr|bindkey|setenv)[[:space:]]|((export|set|declare|typeset|readonly)[[:space:]]+(-[[:alpha:]]+[[:space:]]+)*)?[[:alnum:]_]+ *=[^;&|(]*\$|set[[:space:]]+-[[:alpha:]]*[gxU])")
  fi
  # Includes of sshd_config other than the usual one.
  if [ "$more_server_config" ]; then
    files=
    for pattern in $more_server_config; do
      case $pattern in /*) ;; *) pattern=/etc/ssh/$pattern ;; esac
      set +f
      add $pattern
      set -f
    done
    [ "$files" ] && lines=$lines$lf$(search -niE "^[[:space:]]*$config_words")
  fi
  set +f
}

# What the ssh there would use as its agent for a host that nobody knows.  Only
# asked if a line may say so: it costs as much as all the rest.
identity_agent() {
  identity=+
  [ "$ask_ssh" ] || return
  if has ssh; then
    options=$(limit 2 ssh -o CanonicalizeHostname=no -G agentdoctor.invalid)
    result=$?
    if [ $result = 0 ]; then
      set -f
      IFS=$lf
      for line in $options; do
        case $line in identityagent*) identity=+${line#* } ;; esac
      done
      unset IFS
      set +f
    else
      identity="?ssh -G ended with status $result there"
    fi
  else
    identity="?there is no ssh"
  fi
}

# ------------------------------------------------------ what outlives us here

# These write lines, which long_lived.cc reads: the first character says what
# the rest is (n: why something was not seen).

# Variables that tell what kind of session this is, as records.
session_variables() {
  for name in TMUX TMUX_PANE STY SUDO_USER SUDO_UID TERM_PROGRAM VSCODE_IPC_HOOK_CLI container; do
    eval "[ \"\${$name+x}\" ] && put \"var.$name\" \"\$$name\""
  done
  [ "${container+x}" ] && return
  [ -f /.dockerenv ] && put var.container docker
  [ -f /run/.containerenv ] && put var.container podman
}

# T: a server's socket; t: what it says.  The format looks up the session's
# variable, then the global one (since tmux 2.1; older ones don't know PATH).
# Neither command starts a server.  The client hands its output to the server: a
# stopped one keeps it open for ever, so nobody waits for the end of it.
tmux_server() {
  note T "$1"
  { (LC_ALL=$locale; limit 2 tmux -u -S "$1" list-sessions -F "#{?PATH,+,-}#{session_id}:#{session_created}:#{pid}:#{=128:session_name}:#{SSH_AUTH_SOCK}" ";" show-environment -g SSH_AUTH_SOCK 2>&1; printf "\n=%s %s\n" "$r" $?); } | while IFS= read -r line; do
    case $line in
      "=$r "*) printf "t=%s\n" "${line##* }"; break ;;
      ?*) printf "t%.512s\n" "$line" ;;
    esac
  done
}

tmux_servers() {
  set --
  for socket in "${TMUX_TMPDIR:-/tmp}/tmux-$uid"/*; do
    [ -S "$socket" ] || continue
    set -- "$@" "$socket"
    [ $# -gt 15 ] && break
  done
  if [ $# = 0 ] || has tmux; then
    at_once tmux_server "$@"
  else
    note n "tmux: there are sockets ($1), but no tmux program"
  fi
}

# S: a screen session's socket, + if its environment can be read.  (screen -ls
# would make a folder.)
screens() {
  screen_pids=
  screen_user=${LOGNAME:-$USER}
  for socket in ${SCREENDIR:+"$SCREENDIR"/*} "/run/screen/S-$screen_user"/* "/var/run/screen/S-$screen_user"/* "/tmp/screens/S-$screen_user"/* "/tmp/uscreens/S-$screen_user"/* "$HOME/.screen"/*; do
    process=${socket##*/}
    process=${process%%.*}
    case $process in ""|*[[:alpha:][:punct:][:space:][:cntrl:]]*) continue ;; esac
    [ -S "$socket" ] || [ -p "$socket" ] || continue
    [ -d "/proc/$process" ] || continue
    # /var/run is a link to /run.
    case $screen_pids$lf in *"$lf$process/stat$lf"*) continue ;; esac
    readable=-
    [ -r "/proc/$process/environ" ] && readable=+
    note "S$readable" "$socket"
    screen_pids=$screen_pids$lf$process/stat
  done
}

# l: a link that people make for agents, where it is not one to a file.
links() {
  for link in "$HOME"/.ssh/*sock* "$HOME"/.ssh/*agent* "$HOME"/.ssh/.*sock* "$HOME"/.ssh/.*agent* "$HOME"/*ssh*sock* "$HOME"/.*ssh*sock* "$HOME"/*auth*sock* "$HOME"/.*auth*sock* "$HOME"/.*ssh*agent* /tmp/*ssh*"${LOGNAME:-$USER}"*; do
    [ -L "$link" ] || continue
    [ -d "$link" ] || [ -f "$link" ] || note l "$link"
  done
}

# existing PATH: sets above to as much of it as is there
existing() {
  above=$1
  while [ "$above" ]; do
    [ -e "$above" ] && break
    above=${above%/*}
  done
  above=${above:-/}
}

# v: a value, of these processes (p); i: number, parent, start and name of one;
# e: a word of its command line that names an editor (these keep a folder at
# home); b: when the machine started.  Values are cut, a path that long is none.
# Leaves us in /proc.
processes() {
  [ -d /proc/self ] || { note n "processes: there is no /proc"; return; }
  cd /proc
  cmdline=
  pattern="^[0-9]+ \(|btime [0-9]"
  for folder in "$HOME"/.*-server* "$HOME"/.cache/JetBrains; do
    [ -d "$folder" ] || continue
    cmdline=/cmdline
    pattern="$pattern|/(\.[a-z-]+-server(-insiders)?|\.cache/JetBrains/RemoteDev|remote-dev-server)[^/]*/"
    break
  done
  # Of those that share the socket of this session nothing more is asked.
  own=
  [ -S "$SSH_AUTH_SOCK" ] && own=SSH_AUTH_SOCK=$SSH_AUTH_SOCK
  groups=$({ limit 2 grep -zasHE -e "^SSH_(AUTH_SOCK|CONNECTION)=" [0-9]*/environ 2>&1; printf "=%s\0" $?; } | tr "\0\n" "\n\1" | awk -v ours=" $ancestors $$ " -v own="$own" -v more="$cmdline" "/^=/ {status = \$0; next} /^[0-9]+.environ:SSH_[AC].*=/ {process = \$0 + 0; value = substr(\$0, index(\$0, \":\") + 1, 240); pids[value] = pids[value] \" \" process; if (value ~ /^SSH_A/ && (value == own) == 0 && index(ours, \" \" process \" \") == 0 && ++number <= 1000) wanted = wanted \" \" process \"/stat\" (more ? \" \" process more : \"\"); next} {status = \"=odd\"; exit} END {print wanted; print status; if (number > 1000) print \"=only 1000 of \" number; for (value in pids) print \"v\" value \"\np\" pids[value]}")
  [ "$groups" ] || note n "processes: no tr and awk"
  wanted=$screen_pids${groups%%"$lf"*}
  if [ "$wanted" ]; then
    about_processes | { group_processes; cat; }
  else
    group_processes
  fi
}

about_processes() {
  set -f
  IFS=" $lf"
  limit 2 grep -zasnHE -e "$pattern" stat $wanted | tr "\0\n" "\n\1" | awk "/^stat:/ {if (match(\$0, /btime [0-9]+/)) print \"b\" substr(\$0, RSTART + 6, RLENGTH - 6); next} /^[0-9]+.stat:/ {match(\$0, /.*\)/); name = substr(\$0, 1, RLENGTH - 1); sub(/^[^(]*\(/, \"\", name); split(substr(\$0, RLENGTH + 2), fields, \" \"); print \"i\" (\$0 + 0), fields[2], fields[20], name; next} {print \"e\" substr(\$0, 1, 512)}"
}

# A process of another world (a container) names a path of that world: what is
# left of a dead one here is not what is there.
group_processes() {
  same_world=
  [ / -ef / ] && same_world=yes
  set -f
  IFS=$lf
  for line in $groups; do
    case $line in
      =[012]) note s "+" ;;
      =137|=124) note n "processes: /proc did not answer within 2 s" ;;
      =only*) note n "processes: ${line#=} were looked at" ;;
      =*) note n "processes: no grep that can search /proc/PID/environ" ;;
      vSSH_C*) value=$line; printf "%s\n" "$line" ;;
      v*)
        value=$line
        dead=
        case $value in
          vSSH_AUTH_SOCK=/*) [ -S "${value#*=}" ] || { dead=yes; existing "${value#*=}"; } ;;
        esac ;;
      p*)
        case $uid:$dead:$value in
          *:*:vSSH_C*) printf "%s\n" "$line"; continue ;;
          0:*|*:yes:*) ;;
          *) printf "%s\n%s\n" "$value" "$line"; continue ;;
        esac
        IFS=" "
        list=
        for process in ${line#p}; do
          [ "$uid" = 0 ] && { [ -O "$process" ] || continue; }
          if [ "$dead" ]; then
            if [ "$same_world" ]; then
              [ "$process/root$above" -ef "$above" ] || continue
            else
              [ -S "$process/root${value#*=}" ] && continue
            fi
          fi
          list="$list $process"
        done
        IFS=$lf
        [ "$list" ] && printf "%s\np%s\n" "$value" "$list" ;;
    esac
  done
  unset IFS
  set +f
}

# replaced MOUNTED SINCE: whether what was mounted as a file has been
# replaced since: by another socket, or by a link to another one.
replaced() {
  [ -d "$1" ] && return 1
  [ "$(limit 2 find "$1" -prune -newermt "$2"; limit 2 find -L "$1" -prune -newermt "$2")" ]
}

# container_engine COMMAND...: C: a container, since when, its name, quoted as
# in Go; E: its variable; M: a mount's type, source and destination; R: this
# one is another file by now.  a: a socket of ours that these lead to.
container_engine() {
  note D "$1"
  ids=$(limit 3 "$@" ps -q --no-trunc)
  result=$?
  case $result in
    0) [ "$ids" ] || return ;;
    137) note n "$1 did not answer within 3 s"; return ;;
    *) note n "$1 ps ended with status $result"; return ;;
  esac
  details=$(limit 2 "$@" inspect --format "C{{json .State.StartedAt}} {{printf \"%q\n\" .Name}}{{range .Config.Env}}{{printf \"E%q\n\" .}}{{end}}{{range .Mounts}}{{printf \"M%q %q %q\n\" .Type .Source .Destination}}{{end}}" $ids)
  [ $? = 137 ] && note n "$1 inspect did not answer within 2 s"
  set -f
  IFS=$lf
  for line in $details; do
    case $line in
      C*)
        variable=
        since=${line#C\"}
        since=${since%%\"*} ;;
      E\"SSH_AUTH_SOCK=*)
        variable=${line#*=}
        variable=${variable%\"} ;;
      M\"bind\"*) ;;
      *) continue ;;
    esac
    printf "%.2048s\n" "$line"
    case $line in M*) ;; *) continue ;; esac
    line=${line#M\"bind\" \"}
    mounted=${line%%\" \"*}
    line=${line#*\" \"}
    line=${line%\"}
    case $variable in
      "$line") [ -e "$mounted" ] && replaced "$mounted" "$since" && echo R ;;
      "$line"/*) mounted=$mounted${variable#"$line"} ;;
      *)
        case $mounted in *ssh*|*agent*) ;; *) continue ;; esac
        [ -e "$mounted" ] && replaced "$mounted" "$since" && echo R ;;
    esac
    note a "$mounted"
  done
  unset IFS
  set +f
}

# Docker's socket is asked where it may be, and no other machine; podman only if
# it runs something, because it writes files when it is first used.
containers() {
  case $DOCKER_HOST in
    "") set -- /var/run/docker.sock "${XDG_RUNTIME_DIR:-/run/user/$uid}/docker.sock" ;;
    unix://*) set -- "${DOCKER_HOST#unix://}" ;;
    *) set -- ;;
  esac
  for engine; do
    [ -S "$engine" ] && [ -w "$engine" ] || continue
    if has docker; then
      container_engine docker -H "unix://$engine"
    else
      note n "docker: there is its socket, $engine, but no docker program"
    fi
  done
  has podman || return
  for process in $(cd /proc && limit 2 grep -lsx conmon [0-9]*/comm); do
    [ -O "/proc/$process" ] || continue
    container_engine podman
    return
  done
}

# Whether a connect to PATH can only say that nothing is there: what the shell
# sees itself needs no process.
nothing_at() {
  [ -e "$1" ] || [ -L "$1" ] && return 1
  above=${1%/*}
  while [ "$above" ]; do
    [ -d "$above" ] && break
    above=${above%/*}
  done
  [ -x "${above:-/}" ]
}

# A socket that only long-lived things name.
named_agent() {
  answer_size=4096
  agent "$1"
}

call() {
  "$1"
}

screens_and_processes() {
  screens
  processes
}

# All of it at once, and the answers of the sockets that these name.  (In the
# background: ksh waits for the end of what it runs itself before it reads, and
# that waits for a reader.)
long_lived() {
  set -- screens_and_processes
  [ -S "${DOCKER_HOST#unix://}" ] || [ -S /var/run/docker.sock ] || [ -S "${XDG_RUNTIME_DIR:-/run/user/$uid}/docker.sock" ] || has podman && set -- containers "$@"
  [ -d "${TMUX_TMPDIR:-/tmp}/tmux-$uid" ] && set -- tmux_servers "$@"
  far=$(links; at_once call "$@" & wait)
  asked=$lf$SSH_AUTH_SOCK$lf$handed_path$lf
  for socket in $sockets; do
    asked=$asked$socket$lf
  done
  set --
  set -f
  IFS=$lf
  for line in $far; do
    case $line in
      t[+-]*:*:*:*:/*) path=${line#*:*:*:*:} ;;
      tSSH_AUTH_SOCK=/*|vSSH_AUTH_SOCK=/*) path=${line#*=} ;;
      l/*|a/*) path=${line#?} ;;
      *) continue ;;
    esac
    case $path in *[[:cntrl:]]*) continue ;; esac
    case $asked in *"$lf$path$lf"*) continue ;; esac
    asked=$asked$path$lf
    if nothing_at "$path"; then
      put agent "$path" kind N
    elif [ $# -lt 24 ]; then
      set -- "$@" "$path"
    fi
  done
  unset IFS
  set +f
  at_once named_agent "$@"
  printf "%s\0%.73728s\0" long_lived "$far$lf."
}

# The agent of the shell is asked, and all that outlives us looked for, while
# the rest is looked up; they write in turn.
everything() {
  identity
  initial_environment
  connection
  long_lived | { this_session; cat; }
  put end ""
}

this_session() {
  agent "$SSH_AUTH_SOCK" &
  startup_lines
  identity_agent
  wait
  other_agents
  put version 1 uid "$uid" host "$host" boot "$boot" shell "$SHELL" home "$HOME"
  put sock "${SSH_AUTH_SOCK++}${SSH_AUTH_SOCK--}" connection "${SSH_CONNECTION++}${SSH_CONNECTION--}"
  put initial "$initial" ancestors "$ancestors" server "$server" sockets "$sockets" others "$others"
  put self "$$" ancestor_names "$ancestor_names"
  session_variables
  put identity_agent "$identity" server_config "$server_config"
  put_long lines "$lines" context "$context"
}

printf "\nagentdoctor-%s-begin\n" "$r"
# next_hop.sh, if it goes in front, at the same time.
if has next_hops; then
  exec 3>&1
  next_hops | { rest=$(everything | encode); cat; echo "$rest"; }
else
  everything | encode
fi
printf "\nagentdoctor-%s-end\n" "$r"
