# The next hop (--to): with the ssh of the far side and its configuration, one
# login to each destination.  It goes behind the functions of probe.sh, which it
# uses and whose rules hold here, too, but for IFS; `to` holds the destinations,
# which are made of characters that mean nothing to a shell, `patience` the
# seconds that a login may take.
#
# It logs in and does nothing more: no host key is accepted, no file written,
# no master made, used or left, nothing forwarded, nobody asked.

# The near side waits only for so long while nothing comes; white space between
# the digits does not count.
still_here() {
  echo >&3
}

# next_hop_options: what every ssh here is told first, as far as its release
# knows it, because the first value wins.
next_hop_options() {
  neutral="-o BatchMode=yes -o StrictHostKeyChecking=yes -o CheckHostIP=no -o ControlMaster=no -o ControlPath=none"
  neutral="$neutral -o ForwardAgent=no -o ForwardX11=no -o ClearAllForwardings=yes -o ExitOnForwardFailure=no -o Tunnel=no"
  neutral="$neutral -o GSSAPIDelegateCredentials=no -o ConnectionAttempts=1 -o ConnectTimeout=$(($patience > 3 ? $patience - 2 : $patience))"
  [ "$release" -ge 608 ] && neutral="$neutral -o UpdateHostKeys=no -o FingerprintHash=sha256"
  [ "$release" -ge 702 ] && neutral="$neutral -o AddKeysToAgent=no"
  [ "$release" -ge 706 ] && neutral="$neutral -o RemoteCommand=none"
  [ "$release" -ge 805 ] && neutral="$neutral -o LogVerbose=none"
  [ "$release" -ge 807 ] && neutral="$neutral -o ForkAfterAuthentication=no -o StdinNull=no"
  # Up to 8.3 ssh makes ~/.ssh, unless it is told which configuration to read.
  if [ "$release" -lt 804 ] && [ -d "$HOME" ]; then
    if [ -e "$HOME/.ssh" ]; then :
    elif [ -r /etc/ssh/ssh_config ]; then neutral="$neutral -F /etc/ssh/ssh_config"
    else neutral="$neutral -F none"
    fi
  fi
}

# jump VALUE: the ProxyCommand that ssh itself makes of a ProxyJump gets none of
# the options that ssh was given; this one does.  The shell of ssh may be any,
# so single quotes keep the brackets.
jump() {
  proxy=
  case $1 in *,*) not_tried="it is reached through several jump hosts there ($1)"; return ;; esac
  if [ "$(printf "%s" "$1" | tr -d "A-Za-z0-9@._:[]-")" ]; then
    not_tried="its jump host there has an unusual name ($1)"
    return
  fi
  jump_user=
  jump_port=
  jump_host=$1
  case $jump_host in *@*) jump_user=${jump_host%@*}; jump_host=${jump_host##*@} ;; esac
  case $jump_host in
    *"]") ;;
    *:*) jump_port=${jump_host##*:}; jump_host=${jump_host%:*} ;;
  esac
  jump_host=${jump_host#"["}
  jump_host=${jump_host%"]"}
  set -- ${jump_user:+-l "$jump_user"} ${jump_port:+-p "$jump_port"}
  still_here
  case $lf$(limit ssh -G "$@" -- "$jump_host") in
    *"${lf}proxyjump none"*) ;;
    *"${lf}proxyjump "*)
      not_tried="its jump host there, $jump_host, is reached through another one"
      return ;;
  esac
  proxy="ssh $neutral $* -W $quote[%h]:%p$quote -- $jump_host"
}

# next_hop_config: of the effective values those that matter here.
next_hop_config() {
  values=
  user=
  path=
  through=
  IFS=$lf
  for line in $(limit ssh -G -- "$hop"); do
    key=${line%%" "*}
    value=${line#*" "}
    case $key in
      user) user=$value ;;
      controlpath) path=$value ;;
      proxyjump) [ "$value" = none ] || through=$value ;;
      hostname|port|identitiesonly|identityagent|identityfile|pubkeyauthentication|stricthostkeychecking) ;;
      *) continue ;;
    esac
    values=$values$line$lf
  done
  IFS=$blanks
}

# The safe form of -O check (no configuration, and a proxy that fails): it can
# never open a connection.  A % in the path begins a token.
next_hop_master() {
  escaped=
  while :; do
    case $path in
      *%*) escaped=$escaped${path%%%*}%%; path=${path#*%} ;;
      *) break ;;
    esac
  done
  limit ssh -F none -S "$escaped$path" -o ControlMaster=no -o BatchMode=yes -o ProxyCommand=false -O check x
}

# next_hop DEST: everything about one destination.
next_hop() {
  hop=$1
  set -f
  still_here
  next_hop_config
  still_here
  master=
  [ -S "$path" ] && next_hop_master >/dev/null && master=alive
  not_tried=
  [ "$through" ] && jump "$through"
  [ "$user" ] || case $hop in git@*) user=git ;; esac
  # A forge says who one is in its greeting, and has no shell; elsewhere nothing
  # is run: ssh is ended as soon as it is logged in, by its own LocalCommand.
  # (`exec sh`: the shell that ssh runs it with may be any.)
  if [ "$user" = git ]; then
    set -- -o PermitLocalCommand=no
    [ "$release" -ge 807 ] && set -- "$@" -o SessionType=default
  else
    set -- -N -o PermitLocalCommand=yes -o "LocalCommand=exec sh -c ${quote}kill \$PPID$quote"
  fi
  [ "$through" ] && set -- "$@" -o ProxyUseFdpass=no -o "ProxyCommand=$proxy"
  login=
  still_here
  seconds=$patience
  [ "$not_tried" ] || login=$({ limit ssh "$verbose" -T $neutral "$@" -- "$hop" 2>&1; printf "\n=$?"; } | head -c "$most")
  put hop "$hop" hop_version "$version" hop_config "$values" hop_lines "$config_lines"
  put hop_master "$master" hop_not_tried "$not_tried"
  size=57344
  put hop_login "$login"
}

# All at once.  A pipe keeps the answer of the first until those of the others
# are there, so that they do not mix.
each_next_hop() {
  first=$1
  shift
  if [ $# = 0 ]; then
    next_hop "$first" | (encode)
  else
    next_hop "$first" | (encode) | { others=$(each_next_hop "$@"); cat; echo "$others"; }
  fi
}

next_hops() {
  IFS=$blanks
  set -f
  set -- $to
  set +f
  why=
  if has ssh; then
    if has ssh-add; then
      limit ssh-add -l >/dev/null
      case $? in
        0) ;;
        1) why="the agent there shows no key" ;;
        *) why="no agent answers there" ;;
      esac
    fi
  else
    why="there is no ssh there"
  fi
  if [ "$why" ]; then
    for hop; do
      put hop "$hop" hop_not_tried "$why"
    done | (encode)
    return
  fi
  unset DISPLAY SSH_ASKPASS
  SSH_ASKPASS_REQUIRE=never
  export SSH_ASKPASS_REQUIRE
  quote=$(printf "\047")
  version=$(limit ssh -V 2>&1)
  release=0
  case $version in
    OpenSSH_[0-9].[0-9]*|OpenSSH_[0-9][0-9].[0-9]*)
      major=${version#OpenSSH_}
      minor=${major#*.}
      minor=${minor%%[[:alpha:][:punct:][:space:]]*}
      release=$((${major%%.*} * 100 + $minor)) ;;
  esac
  next_hop_options
  # Up to 7.8 only this says which keys are the agent's.
  verbose=-v
  [ "$release" -lt 709 ] && verbose=-vv
  config_lines=$(limit grep -niE "^[[:space:]]*(identitiesonly|identityagent|pubkeyauthentication)[[:space:]=]" /dev/null "$HOME/.ssh/config" /etc/ssh/ssh_config /etc/ssh/ssh_config.d/*.conf)
  # The whole answer has to stay below what the near side reads.
  most=$((65536 / $#))
  [ $most -gt 16384 ] && most=16384
  each_next_hop "$@"
}

# Instead of the one in probe.sh: both answers at the same time.
answer() {
  exec 3>&1
  set -- /proc/[0-9]*
  next_hops | { rest=$(inquire "$own" | everything "$@" | (encode)); cat; echo "$rest"; }
}
