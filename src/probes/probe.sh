# The probe: what one user sees on the far side of a connection.  It only
# reads, leaves no file and starts nothing that stays.
#
# remote_side.cc makes one line of it, shrunk (see shrink.h for what that asks of
# the text), and sends `sh -c 'r=RANDOM; ...'; true`, so there must be no single
# quote, no exclamation mark (csh's history) and no two backslashes in a row
# (fish reads them as one, quoted or not).  All of that must stay below 9,000
# characters.  Comments stand on lines of their own.
#
# It writes records, "KEY NUL VALUE NUL", in hexadecimal between two markers,
# which do not stand in this text: an echoed command line is no answer.  A value
# that may be missing begins with + (known), - (unset) or ? (why not known).
# What the shell can do itself needs no process: every millisecond counts.
#
# Words are split at line feeds and nothing else, unless it is said.  A variable is set before it is used: short as they
# become, the environment may have others of these names.

exec </dev/null 2>/dev/null
locale=$LC_ALL
export LC_ALL=C
unset GREP_OPTIONS
# A line feed: the third of the characters that IFS begins with.
blanks=$IFS
home=$HOME
own=$SSH_AUTH_SOCK
lf=${IFS#??}
lf=${lf%"${lf#?}"}
IFS=$lf
seconds=2
size=8192
answer_size=32768

# put KEY VALUE...: records.  The lengths keep the whole answer, three
# characters for a byte, below what the near side reads (1 MiB).
put() {
  printf "%s\0%.${size}s\0" "$@"
}

# put_answer NAME TEXT: what an agent said to a program.
put_answer() {
  printf "asked\0%s\0answer\0%.${answer_size}s\0" "$@"
}

# note PREFIX TEXT: one line for long_lived.cc; line feeds become a byte 1.
note() {
  text=$2
  case $text in
    *"$lf"*) text=$(printf "%s" "$2" | tr "\n" "\1") ;;
  esac
  printf "%s%.512s\n" "$1" "$text"
}

# say LINE...: the same of what has no line feed
say() {
  printf "%.2048s\n" "$@"
}

has() {
  command -v "$1" >/dev/null
}

# at_once FUNCTION ARGUMENT...: calls it for every argument, all at the same
# time; what they write stays apart.
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

# limit COMMAND...: ends a program that hangs, with status 137.  The second way
# is for systems without timeout (macOS), and for busybox before 1.30, which
# takes the seconds for the program.  (`last` is the parameter that names the
# last background process: it is spelt with an exclamation mark.)
limit() {
  if has timeout; then
    timeout -s KILL $seconds "$@"
    result=$?
    case $result in 12[567]) ;; *) return $result ;; esac
  fi
  last=$(printf "\$\041")
  "$@" <&0 &
  eval "child=$last"
  {
    sleep $seconds &
    eval "sleeper=$last"
    trap "kill $sleeper; exit" TERM
    wait $sleeper && kill -9 $child
  } >/dev/null &
  eval "watch=$last"
  wait $child
  result=$?
  kill $watch
  return $result
}

# What the kernel and grep end with NUL, in lines; a line feed becomes a byte 1.
# For a subshell.
as_lines() {
  exec tr "\0\n" "\n\1"
}

# Bytes to hexadecimal, with what there is.  For a subshell: ksh runs the last
# part of a pipeline itself.
encode() {
  if has od; then
    exec od -vAn -tx1
  elif has hexdump; then
    hexdump -ve "1/1 \"%02x\""
  else
    echo none
  fi
}

# ------------------------------------------------------------ who and where --

# about PID: sets name, parent and owner
about() {
  name=
  parent=
  owner=
  while IFS=$blanks read -r key value effective rest; do
    case $key in
      Name:) name=$value${effective:+ $effective} ;;
      PPid:) parent=$value ;;
      Uid:) owner=$effective; return ;;
    esac
  done </proc/$1/status
  IFS=$blanks
  set -- $(limit ps -o ppid= -o uid= -o comm= -p $1)
  IFS=$lf
  parent=$1
  owner=$2
  name=${3##*/}
}

# SSH_AUTH_SOCK as sshd handed it over: the login shell is our parent (`; true`
# keeps it from becoming us), and the kernel shows the environment that a
# process began with.  No other variable leaves the host.  (Read by the shell
# it has no NULs any more, but tells that nothing was changed: behind the value
# another name begins, or nothing comes.)
initial_environment() {
  initial=+$own
  read -r value </proc/$PPID/environ
  case ${value}A in *SSH_AUTH_SOCK="${SSH_AUTH_SOCK:-:}"[A-Z_]*) return ;; esac
  initial=?
  set -f
  for line in $(as_lines </proc/$PPID/environ); do
    initial=-
    case $line in
      SSH_AUTH_SOCK=*)
        initial=+${line#*=}
        break ;;
    esac
  done
  set +f
}

# look_into PID: sets readable to + if its environment can be read
look_into() {
  readable=-
  [ -r /proc/$1/environ ] && readable=+
}

# look_around PROCESS...: what is above us, up to the server of this connection,
# and the sockets that sshd made for it (up to OpenSSH 10.0 they are named after
# its process); which of the processes are the user's (a zombie has no root); and
# whether those are only this shell, the login shell and the server.
look_around() {
  sockets=
  ancestors=
  running=
  crowd=
  session=$PPID
  while [ $session -gt 1 ]; do
    about $session
    look_into $session
    ancestors=$ancestors$session$readable$name$lf
    for socket in /tmp/ssh-??????????/agent.$session; do
      [ -S "$socket" ] && sockets=$sockets$socket$lf
    done
    case $name in sshd*|dropbear*) break ;; esac
    session=$parent
  done
  for process; do
    [ -O $process ] && [ -e $process/root ] || continue
    process=${process#/*/}
    running=$running$process/environ$lf
    case $process in $$|$PPID|$session) ;; *) crowd=1 ;; esac
  done
}

# The sockets of later ones lie in ~/.ssh/agent under random names, dropbear makes
# up its own.  These are looked for only if the variable that was handed over is
# set and was somebody else's, or is not known.
connection_sockets() {
  others=+
  case $initial in
    -|*/ssh-*/agent.*|*/agent/s.*.sshd.*|*/dropbear-*/auth-*) return ;;
  esac
  read -r line </proc/$session/stat
  read now </proc/uptime
  IFS=$blanks
  set -- ${line##*")"}
  IFS=$lf
  others=+$(limit find $home/.ssh/agent/s.*.sshd.* /tmp/dropbear-*/auth-* -type s ${20:+-mmin$lf-$(((${now%%.*}-${20}/100)/60+1))})
  has find || others=?
}

# ------------------------------------------------------------------- agents --

# The first element of the path that may not be passed, or the path itself.
find_denied() {
  reached=
  left=${1#/}/
  while [ "$left" ]; do
    reached=$reached/${left%%/*}
    left=${left#*/}
    [ -x "$reached" ] || break
  done
  put denied "$reached" mode "$(limit ls -ldn "$reached")"
}

# ask COMMAND...: sends the request (a length and the byte 11) through a program
# that speaks to the socket.  It must not shut its side down, or ssh-agent hangs
# up before it answers; so some end only at the limit, with the answer.
ask() {
  echo "$1"
  { printf "\0\0\0\1\13" | limit "$@" 2>&1; printf =$?; } | (encode)
}

# inquire PATH: what an agent says: a line with the program that asks, what that
# one said, and its status
inquire() {
  if has ssh-add; then
    echo ssh-add
    export SSH_AUTH_SOCK="$1"
    limit ssh-add -L 2>&1
    printf =$?
  elif has python3; then
    ask python3 -c "import socket,sys;s=socket.socket(1);s.connect(sys.argv[1]);s.sendall(open(0,\"rb\").read());f=s.makefile(\"rb\");h=f.read(4);open(1,\"wb\").write(h+f.read(min(int.from_bytes(h,\"big\"),65536)))" "$1"
  elif has perl; then
    ask perl -MSocket -MPOSIX -e "socket(S,1,SOCK_STREAM,0);connect(S,sockaddr_un(\$ARGV[0]))||exit print(strerror(errno()));syswrite(S,<STDIN>);1 while length\$d<4+unpack(N,\$d.pack(x4))&&length\$d<65536&&sysread(S,\$d,65536,length\$d);print\$d" "$1"
  fi
}

# look_at PATH [ANSWER]: an agent: what stands there, and what it says, if that
# is not known yet
look_at() {
  [ "$1" ] || return
  kind=
  for test in L S d f e O; do
    [ -$test "$1" ] && kind=$kind$test
  done
  put agent "$1" kind "$kind"
  case $kind in
    ""|SeO) ;;
    *) put entry "$(limit ls -ldnL "$1")" link "$(limit ls -ld "$1")" ;;
  esac
  answer=${2-$(inquire "$1")}
  put_answer "${answer%%"$lf"*}" "${answer#*"$lf"}"
  case $answer in *denied*) find_denied "$1" ;; esac
}

# fresh PATH: whether it was not asked yet.  A line feed did not survive.
fresh() {
  case $1 in *[[:cntrl:]]*) return 1 ;; esac
  case $asked in *"$lf$1$lf"*) return 1 ;; esac
  asked=$asked$1$lf
}

# existing PATH: sets above to as much of it as is there
existing() {
  above=$1
  until [ -e "${above:-/}" ]; do
    above=${above%/*}
  done
  above=${above:-/}
}

# Whether a connect to PATH can only say that nothing is there: what the shell
# sees itself needs no process.
nothing_at() {
  existing "$1"
  [ -L "$1" ] || [ "$above" = "$1" ] && return 1
  [ -x "$above/" ]
}

# -------------------------------------------------------------------- files --

# add FILE...: puts those that can be read on the list
add() {
  for file; do
    [ -f "$file" ] && [ -r "$file" ] && files=$files$file$lf
  done
}

# search OPTIONS PATTERN: the lines of the listed files, as FILE:LINE:TEXT
search() {
  limit grep "-sH$1" "$2" $files
}

# Lines of start-up files that may concern an agent, of sshd_config about
# forwarding, of ssh_config about IdentityAgent: one grep finds them all, and in
# the default files of a distribution it finds next to nothing.  Whose shell
# reads which file is known to the near side.
startup_lines() {
  etc=/etc/ssh
  server_config=
  [ -f $etc/sshd_config ] && server_config=?
  [ -r $etc/sshd_config ] && server_config=+
  files=
  add $etc/ssh*_config $etc/ssh*_config.d/*.conf $etc/sshrc $home/.ssh/config $home/.ssh/environment $home/.ssh/rc $home/.pam_environment ${GNUPGHOME:-$home/.gnupg}/gpg-agent.conf /etc/environment /etc/security/pam_env.conf /etc/profile.d/*sh
  for folder in /etc ${XDG_CONFIG_HOME:-$home/.config}; do
    add $folder/environment.d/*.conf $folder/fish/*.fish $folder/fish/conf.d/*.fish
  done
  for folder in /etc/ /etc/zsh/ $home/. ${ZDOTDIR:+$ZDOTDIR/.}; do
    add $folder*shrc $folder*shenv $folder*profile $folder*login
  done
  set -f
  space="[[:space:]]"
  config_words="(allowagentforwarding|disableforwarding|match|include|identityagent)[[:space:]=]"
  lines=$(search niE "^$space*(([^#[:space:]].*)?(ssh_auth_sock|ssh-agent|keychain|gpgconf|gpg-agent|gnome-keyring|enable-ssh-support)|$config_words)")
  files=
  included=
  ask_ssh=
  for line in $lines; do
    file=${line%%:*}
    case $line in
      *"_config.d/*.conf"|*config:*[Mm]atch*) ;;
      */sshd_config:*[Ii]nclude*) included=$included${line#*[Ee][ =]}$lf ;;
      */.ssh/config:*|*/ssh_config*) ask_ssh=1 ;;
      *)
        case $file in
          *rc|*env|*profile|*login|*sh)
            case $files in *"$file$lf") ;; *) files=$files$file$lf ;; esac ;;
        esac ;;
    esac
  done
  # To judge a line takes the lines around it, but no assignments: secrets are
  # kept in those.
  context=
  [ "$files" ] && context=$(search nvE "^$space*(#|\$|(alias|abbr|bindkey|setenv)$space|((export|set|declare|typeset|readonly)$space+(-[[:alpha:]]+$space+)*)?[[:alnum:]_]+ *=[^;&|(]*\$|set$space+-[[:alpha:]]*[gxU])")
  ask_ssh_for_agent
  # Includes of sshd_config other than the usual one.
  files=
  IFS=$blanks
  set -- $included
  IFS=$lf
  set +f
  for file; do
    case $file in
      /*) add $file ;;
      *) add $etc/$file ;;
    esac
  done
  [ "$files" ] && lines=$lines$lf$(search niE "^$space*$config_words")
}

# What the ssh there would use as its agent for a host that nobody knows.  Only
# asked if a line may say so: it costs as much as all the rest.  (It prints what
# looks like a pattern: called under set -f.)
ask_ssh_for_agent() {
  identity=+
  [ "$ask_ssh" ] || return
  options=$(limit ssh -o CanonicalizeHostname=no -G agentdoctor.invalid) || identity=?$?
  for line in $options; do
    case $line in identityagent*) identity=+${line#* } ;; esac
  done
}

# ------------------------------------------------------ what outlives us here

# These write lines, which long_lived.cc reads: the first character says what
# the rest is.

# T: a server's socket; t: what it says.  The format looks up the session's
# variable, then the global one (since tmux 2.1; older ones don't know PATH).
# Neither command starts a server.  The client hands its output to the server: a
# stopped one keeps it open for ever, so nobody waits for the end of it.
tmux_server() {
  note T "$1"
  (LC_ALL=$locale; limit tmux -u -S "$1" ls -F "#{?PATH,+,-}#{session_id}:#{session_created}:#{pid}:#{=128:session_name}:#{SSH_AUTH_SOCK}" ";" showenv -g SSH_AUTH_SOCK 2>&1; printf "\n=$r $?\n") | while IFS= read -r line; do
    case $line in
      "=$r "*) echo "t=${line##* }"; break ;;
      ?*) printf "t%.512s\n" "$line" ;;
    esac
  done
}

tmux_servers() {
  set --
  for socket in $tmux/*; do
    [ -S "$socket" ] && [ $# -lt 16 ] && set -- "$@" "$socket"
  done
  at_once tmux_server "$@"
}

# S: a screen session's socket, + if its environment can be read.  (screen -ls
# would make a folder.)
screens() {
  screen_pids=
  for socket in ${SCREENDIR:+"$SCREENDIR"/*} /var/run/screen/S-$user/* /tmp/*screens/S-$user/* $home/.screen/*; do
    process=${socket##*/}
    process=${process%%.*}
    [ -S "$socket" ] || [ -p "$socket" ] && [ -f "/proc/$process/stat" ] || continue
    look_into "$process"
    note "S$readable" "$socket"
    screen_pids="$screen_pids $process"
  done
}

# l: a link that people make for agents, where it is not one to a file.
links() {
  for folder in / /.; do
    for link in $home/.ssh$folder*sock* $home/.ssh$folder*agent* $home$folder*ssh*sock* $home$folder*auth*sock* $home$folder*ssh*agent* /tmp$folder*ssh*$user*; do
      [ -L "$link" ] && { [ -d "$link" ] || [ -f "$link" ] || note l "$link"; }
    done
  done
}

# =: how the search went, -: there was none; v: a value, of these processes (p);
# i: parent and start of a process, number and name; without a letter: the words
# of command lines that name an editor (these keep a folder at home); b: when the
# machine started.
# Values are cut, a path that long is none.  Of those that share the socket of
# this session nothing more is asked.
#
# Where the user runs nothing else, nothing is searched.
#
# A process of another world (a container) names a path of that world: what is
# left of a dead one here is not what is there.
processes() {
  cd /proc/$$ && cd .. || return
  alive=$own
  [ -S "$own" ] || alive=
  found=-
  [ "$crowd$screen_pids" ] && found=$({ limit grep -zasHE "^SSH_(AUTH_SOCK|CONNECTION)=" $running 2>&1; printf "=$?\0"; } | as_lines | awk -v o="SSH_AUTH_SOCK=$alive" -v w="$screen_pids" "/^=/{s=\$0;next}/^[0-9]+.environ:SSH_[AC]/{p=\$0+0;v=substr(\$0,index(\$0,\":\")+1,240);l[v]=l[v]\" \"p;if(v~/^SSH_A/&&(v==o)==0&&++n<1001)w=w\" \"p;next}{s=\"=odd\";exit}END{print s,n;for(v in l)print\"v\"v\"\np\"l[v];if(w)while((getline x<\"stat\")>0)if(x~/^bt/)print\"b\"substr(x,7);n=split(w,q);for(p=1;p<=n;p++){f=q[p]\"/stat\";if((getline x<f)>0){match(x,/.*\)/);split(substr(x,RLENGTH+2),t);print\"i\"t[2],t[20],substr(x,1,RLENGTH)}close(f)}}")
  set -f
  for line in $found; do
    case $line in
      v*)
        value=$line
        dead=
        path=${line#v*=}
        case $line in
          vSSH_A*=/*) [ -S "$path" ] || dead=1; existing "$path" ;;
        esac ;;
      p*)
        if [ "$dead" ]; then
          list=p
          IFS=" "
          for process in ${line#p}; do
            [ "$process/root$above" -ef "$above" ] && list="$list $process"
          done
          IFS=$lf
          line=$list
        fi
        [ "$line" = p ] || say "$value" "$line" ;;
      *) say "$line" ;;
    esac
  done
  set +f
  for folder in $home/.*-server* $home/.cache/JetBrains; do
    [ -d "$folder" ] || continue
    limit grep -zasnHEm2 "/(\.[a-z-]+-server|\.cache/JetBrains/RemoteDev|remote-dev-server)" [0-9]*/cmdline | as_lines
    break
  done
}

# container_engine COMMAND...: D: which; x: the status of its ps, of its inspect;
# C: a container, since when, its name, quoted as in Go; E: its variable; M: a
# mount's type, source and destination; R: this one is another file by now (a
# socket, or a link to one).  a: a socket of ours that these lead to.
container_engine() {
  echo "D$1"
  seconds=3
  ids=$(limit "$@" ps -q)
  echo "x$?"
  [ "$ids" ] || return
  details=$(limit "$@" inspect --format "C{{json .State.StartedAt}} {{printf \"%q\n\" .Name}}{{range .Config.Env}}{{printf \"E%q\n\" .}}{{end}}{{range .Mounts}}{{printf \"M%q %q %q\n\" .Type .Source .Destination}}{{end}}" $ids)
  echo "x$?"
  set -f
  for line in $details; do
    case $line in
      C*)
        say "$line"
        variable=
        since=${line#C\"}
        since=${since%%\"*} ;;
      E\"SSH_AUTH_SOCK=*)
        say "$line"
        variable=${line#*=}
        variable=${variable%\"} ;;
      M\"bind\"*)
        say "$line"
        mounted=${line#*\" \"}
        mounted=${mounted%%\"*}
        line=${line##*\" \"}
        line=${line%\"}
        case $variable in
          "$line"*) path=$mounted${variable#"$line"} ;;
          *)
            path=$mounted
            case $path in *ssh*|*agent*) ;; *) continue ;; esac ;;
        esac
        [ -d "$mounted" ] || [ -z "$(limit find "$mounted" -newermt "$since"; limit find -L "$mounted" -newermt "$since")" ] || echo R
        note a "$path" ;;
    esac
  done
}

# Docker's socket is asked where it may be, and no other machine; podman only if
# it runs something, because it writes files when it is first used.
containers() {
  for engine in $engines; do
    container_engine docker -H "unix://$engine"
  done
  cd /proc
  for process in $(limit grep -lsx conmon [0-9]*/comm); do
    [ -O "$process" ] || continue
    container_engine podman
    break
  done
}

# What runs at the same time.  (In the background: ksh waits for the end of what
# it runs itself before it reads, and that waits for a reader.)
find_long_lived() {
  user=${LOGNAME:-$USER}
  links
  screens
  set -- processes
  engines=
  for socket in ${DOCKER_HOST:-/var/run/docker.sock$lf${XDG_RUNTIME_DIR:-/run/user/$uid}/docker.sock}; do
    socket=${socket#unix://}
    [ -S "$socket" ] && [ -w "$socket" ] && engines=$engines$socket$lf
  done
  [ "$engines" ] || has podman && set -- containers "$@"
  tmux=${TMUX_TMPDIR:-/tmp}/tmux-$uid
  [ -d $tmux ] && set -- tmux_servers "$@"
  case $# in
    1) processes ;;
    *)
      at_once eval "$@" &
      wait ;;
  esac
}

# -------------------------------------------------------------------- output --

# everything PROCESS...: on standard input comes what the agent of the shell says
everything() {
  exec 4<&0 </dev/null
  look_around "$@"
  about $$
  uid=${owner:-$(limit id -u)}
  boot=
  read host </proc/sys/kernel/hostname || host=$(limit uname -n)
  read boot </proc/sys/kernel/random/boot_id
  initial_environment
  connection_sockets
  startup_lines
  far=$(find_long_lived)
  answer=
  while read -r line; do
    answer=$answer$line$lf
  done <&4
  look_at "$own" "$answer$line"
  set -f
  asked=$lf$own$lf
  for path in "${initial#?}" $sockets; do
    fresh "$path" && look_at "$path"
  done
  put uid "$uid" host "$host" boot "$boot" shell "$SHELL" home "$home" zdotdir "$ZDOTDIR" initial "$initial" self $$ ancestors "$ancestors" sockets "$sockets" others "$others" identity "$identity" sshd_config "$server_config"
  [ -f /.dockerenv ] && : ${container=docker}
  [ -f /run/.containerenv ] && : ${container=podman}
  for name in SSH_AUTH_SOCK SSH_CONNECTION TMUX STY SUDO_USER container; do
    eval "put $name \"\${$name++}\${$name--}\""
  done
  size=57344
  put lines "$lines" context "$context"
  set --
  answer_size=4096
  for line in $far $others; do
    case $line in
      t[+-]*:*:*:*:/*) path=${line#*:*:*:*:} ;;
      [tv]SSH_AUTH_SOCK=/*) path=${line#*=} ;;
      [la+]/*|/*) path=/${line#*/} ;;
      *) continue ;;
    esac
    fresh "$path" || continue
    if nothing_at "$path"; then
      put agent "$path" kind N
    elif [ $# -lt 24 ]; then
      set -- "$@" "$path"
    fi
  done
  at_once look_at "$@"
  put far "$far$lf."
  put end ""
}

# The agent of the shell is asked while the rest is looked up: as soon as can be,
# and by as few processes, for that takes longest.  Of the processes those count
# that are there before ours.  (next_hop.sh has another answer.)
answer() {
  set -- /proc/[0-9]*
  inquire "$own" | everything "$@" | (encode)
}

printf "\nagentdoctor-$r-begin\n"
answer
printf "\nagentdoctor-$r-end\n"
