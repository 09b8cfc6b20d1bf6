#!/usr/bin/env bash
# From a checkout to a running relay: builds it, installs it as a systemd service, proves that it
# works, and puts nginx in front of it. A second run changes only what has to change.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$here/common.sh"

USAGE="${0##*/} [DOMAIN] [PORT] [--rename] [--binary FILE] [--no-pull] [--no-nginx] [--ufw] [--dry-run]
           [--node URL [--nats URL] [--nats-server]]
       ${0##*/} --settings
       ${0##*/} --rollback
       ${0##*/} --uninstall

  DOMAIN          the bare domain: the relay will be wss://relay.DOMAIN (as before, once it was given)
  PORT            where the relay listens (RELAY_PORT in .env.relay, at first 9784)
  --rename        let the relay have DOMAIN in the place of another one
  --binary FILE   install this program instead of building one
  --no-pull       build what is checked out
  --no-nginx      leave nginx alone
  --ufw           open PORT in the firewall, for a relay that is reached without nginx
  --node URL      be one of several relays that are one: the others reach this one at URL (ws://192.0.2.1:9784)
  --nats URL      where they find each other's rooms, such as nats://192.0.2.1:4222
  --nats-server   have NATS's server on this machine, for all of them
  --dry-run       say what would be done and do nothing
  --settings      have the relay run with what .env.relay says now; nothing is built
  --rollback      go back to the program that was installed before, and its units; again to return
  --uninstall     remove all that this has installed; .env.relay stays"

unit=claude-distill-relay.service
# What the relay reads: root's copy of .env.relay, since nobody else is to change what a service runs with.
installed=/etc/claude-distill-relay/relay.env
kept_unit=/etc/claude-distill-relay/before.service
units=/etc/systemd/system
# What is installed there. The units of the program before are kept with it, as each knows the other's options.
installed_units=("$unit" claude-distill-relay.socket claude-distill-relay-healthcheck{.service,@.service,-alert@.service,.timer})
units_before=/etc/claude-distill-relay/previous
program=/usr/local/bin/claude-distill-relay
# The settings that a reload does not change.
needs_restart=(RELAY_HOST RELAY_PORT RELAY_WORKERS RELAY_ADMIN_SOCKET RELAY_STATE_DIR
	RELAY_CLUSTER_NATS RELAY_CLUSTER_NATS_CREDENTIALS RELAY_CLUSTER_ADDRESS RELAY_CLUSTER_SECRET)
# What several relays prove to each other that they are one by, and to NATS. The unit hands them to the relay, and
# nobody but root can read them.
cluster_secret=/etc/claude-distill-relay/cluster-secret
cluster_nats=/etc/claude-distill-relay/cluster-nats
credentials=/run/credentials/$unit
nats_conf=/etc/nats-server.conf

parse() {
	settings_are='' domain='' port='' binary='' pull=yes nginx=yes ufw='' dry_run='' settings_only='' rollback='' uninstall='' rename='' node='' nats='' nats_server=''
	while (($#)); do
		case $1 in
		-h | --help)
			printf 'usage: %s\n' "$USAGE"
			exit
			;;
		--binary)
			(($# >= 2)) || refuse '--binary needs a file'
			# It is run from another folder, too.
			binary=$2
			[[ $2 == /* ]] || binary=$PWD/$2
			shift
			;;
		--node | --nats)
			(($# >= 2)) || refuse "$1 needs a URL"
			[[ $2 =~ ^[a-z]+://[^[:space:]\'\"]+$ ]] || refuse "not a URL: $2"
			[[ $1 == --node ]] && node=$2 || nats=$2
			shift
			;;
		--nats-server) nats_server=yes ;;
		--no-pull) pull='' ;;
		--no-nginx) nginx='' ;;
		--ufw) ufw=yes ;;
		--dry-run) dry_run=yes ;;
		--settings) settings_only=yes binary=$program pull='' ;;
		--rollback) rollback=yes ;;
		--uninstall) uninstall=yes ;;
		--rename) rename=yes ;;
		-*) refuse "no such option: $1" ;;
		*)
			if [[ -z $domain ]]; then
				domain=$1
			elif [[ -z $port ]]; then
				port=$1
				is_port "$port" || refuse "not a port from 1 to 65535: $port"
			else
				refuse "one argument too many: $1"
			fi
			;;
		esac
		shift
	done
	[[ -n $node || -z $nats$nats_server ]] || refuse '--nats and --nats-server need --node'
	nats=${nats:-${nats_server:+nats://127.0.0.1:4222}}
	nats=${nats:-$(setting RELAY_CLUSTER_NATS '')}
	[[ -z $node || -n $nats ]] || refuse '--node needs --nats or --nats-server'
	if [[ -n $rollback$uninstall$settings_only && -n $node ]]; then
		refuse '--node goes with a deployment only'
	fi
	if [[ -n $rollback$uninstall ]]; then
		[[ -z $domain ]] || refuse '--rollback and --uninstall take no domain'
		[[ -z $uninstall || -z $dry_run ]] || refuse '--uninstall has no --dry-run'
		return
	fi
	if [[ -n $settings_only ]]; then
		[[ -z $domain ]] || refuse '--settings takes no domain'
		[[ -e $available ]] || nginx=''
	fi
	served=$(served_name) host=$served
	if [[ -z $domain ]]; then
		[[ -n $host || -n $settings_only ]] || refuse 'which domain? It is missing'
		return
	fi
	# The name of the relay itself, which is one that begins so and goes on with a domain.
	[[ $domain != [Rr][Ee][Ll][Aa][Yy].*.* ]] || domain=${domain#*.}
	if ! is_host_name "$domain" || ! is_host_name "relay.$domain"; then
		refuse "not a domain such as example.com: $domain"
	fi
	host=relay.${domain,,}
}

# Whether the file $1 is our program, and for this machine.
is_relay() { [[ -f $1 && -x $1 && $("$1" --version 2>/dev/null) == 'claude-distill-relay '* ]]; }

# Before anything is written: a name that is served is not taken offline in passing, and a port has to
# be one that the relay can have.
check_name_and_port() {
	local port_now listen holders main
	if [[ -n $nginx && -n $served && $host != "$served" && -z $rename ]]; then
		fail "this machine's relay is $served, which would be offline as $host" "to keep that name: ${0##*/} without a domain; to have $host in its place: --rename"
	fi
	port_now=$(setting RELAY_PORT "${port:-9784}")
	if [[ -n $port && $port_now != "$port" ]]; then
		fail "$settings has another RELAY_PORT than $port" 'change that line, or leave the port out here'
	fi
	listen=$(site_port)
	if ! is_port "$port_now" || ((port_now < 1024)); then
		fail "the relay cannot have port $port_now: without root's rights it is one from 1024 to 65535" "another port behind the domain, or as RELAY_PORT in $settings"
	elif [[ -n $nginx && $port_now == "${listen:-80}" ]]; then
		fail "port $port_now is nginx's" "another port behind the domain, or as RELAY_PORT in $settings"
	fi
	[[ -z $dry_run ]] || return 0
	if systemctl --quiet is-active claude-distill-relay.socket && ! systemctl show --value -p Listen claude-distill-relay.socket | grep -q ":$port_now "; then
		fail "systemd holds another port for the relay than $port_now" "that one as RELAY_PORT in $settings: systemctl show -p Listen claude-distill-relay.socket"
	fi
	# Those that would be in its way; what the relay has itself, or systemd for it, is not.
	main=$(systemctl show --value -p MainPID "$unit")
	holders=$(listeners "$port_now" | awk -v host="$(setting RELAY_HOST 127.0.0.1)" '
		{ address = $4; sub(/:[0-9]+$/, "", address) }
		address == host || address ~ /^(\*|0\.0\.0\.0|\[::\])$/ || host == "0.0.0.0" || host == "::"
	' | grep -vE "pid=(1|${main/#0/none})," || true)
	if [[ -n $holders ]]; then
		fail "port $port_now is taken by $(process_in "$holders")" "stop that one, or give the relay another port behind the domain; who it is: sudo ss -ltnp 'sport = :$port_now'"
	fi
}

# What can be known to fail on this machine is found here, before the first change.
check_machine() {
	local missing=()
	step machine
	have_systemd || fail 'systemd does not run here' "run the relay in your own way: cargo run --release --locked"
	[[ $repo -ef / || -O $repo ]] || fail "$repo belongs to $(stat -c %U "$repo")" "run this as that user, without sudo: it asks for sudo itself"
	if have dpkg-query && [[ $(dpkg-query -W -f '${db:Status-Status}' claude-distill-relay 2>/dev/null) == installed ]]; then
		fail 'the Debian package claude-distill-relay is installed' 'update that one, or remove it first: sudo apt-get remove claude-distill-relay'
	fi
	if [[ -z $rollback$uninstall ]]; then
		[[ ! -e $repo/.git ]] || have git || missing+=(git)
		[[ -n $binary ]] || { have cc && have make; } || missing+=(build-essential)
		[[ -z $nginx ]] || PATH=$PATH:/usr/sbin have nginx || missing+=(nginx-light)
		[[ -z $nats_server ]] || PATH=$PATH:/usr/sbin have nats-server || have apt-get || missing+=(nats-server)
		[[ -z $ufw ]] || PATH=$PATH:/usr/sbin have ufw || missing+=(ufw)
		((${#missing[@]} == 0)) || fail "not installed: ${missing[*]}" "sudo apt-get install -y ${missing[*]}; then run this again"
		[[ -n $binary ]] || have cargo || fail 'there is no cargo on your PATH' 'install Rust (https://rustup.rs), open a new shell, and run this again'
		[[ -z $binary ]] || is_relay "$binary" || fail "$binary is not a relay that runs here" 'give --binary the path of a claude-distill-relay that was built for this kind of machine'
	fi
	if [[ -z $dry_run ]]; then
		((EUID == 0)) || have sudo || fail 'there is no sudo' 'run this as root'
		as_root true || fail 'sudo does not let you in' 'run this as a user who may use sudo'
	fi
	[[ -n $rollback$uninstall ]] || check_name_and_port
	result 'it has all that is needed'
}

pull_source() {
	step source
	local before
	if [[ -z $pull ]]; then
		result 'not pulled, as --no-pull says'
	elif ! git -C "$repo" rev-parse --git-dir >"$log" 2>&1; then
		result 'not pulled: this is no git checkout'
	elif [[ -z $(git -C "$repo" remote) ]]; then
		result 'not pulled: the checkout has no remote'
	elif [[ -n $(git -C "$repo" status --porcelain --untracked-files=no) ]]; then
		result 'not pulled: the checkout has changes of its own'
	elif ! git -C "$repo" rev-parse --verify --quiet '@{upstream}' >"$log" 2>&1; then
		result 'not pulled: the branch follows no branch of a remote'
	elif [[ -n $dry_run ]]; then
		result 'would pull'
	else
		before=$(git -C "$repo" rev-parse HEAD)
		if ! git -C "$repo" pull --quiet --ff-only >"$log" 2>&1; then
			show "$log"
			fail 'git cannot pull' "mend it in $repo, or deploy what is there with --no-pull"
		fi
		if [[ $(git -C "$repo" rev-parse HEAD) == "$before" ]]; then
			result "up to date at $(git -C "$repo" describe --always)"
		else
			result "pulled $(git -C "$repo" describe --always); starting again with it"
			rm -rf "$work"
			exec "$here/deploy-oneclick.local.sh" --no-pull "${arguments[@]}"
		fi
	fi
}

build() {
	step build
	if [[ -n $binary ]]; then
		result "not built: $binary is used"
		return
	fi
	binary=$repo/target/release/claude-distill-relay
	if [[ -n $dry_run ]]; then
		result 'would build with cargo build --release --locked'
		return
	fi
	SECONDS=0
	if ! (cd "$repo" && cargo build --release --locked --target-dir target) >"$log" 2>&1; then
		tail -n 30 "$log" >"$log.end"
		show "$log.end"
		fail 'cargo cannot build the relay' 'an old Rust? rustup update. Too little memory? Build elsewhere and use --binary'
	fi
	result "$("$binary" --version), in $SECONDS s"
}

# The settings in /etc are never replaced unnoticed by those of another checkout, or by none.
find_settings() {
	local from
	[[ -e $installed || -L $installed ]] || return 0
	if [[ -L $installed && ! -e $installed ]]; then
		fail "the settings are gone: $installed leads to $(readlink "$installed"), which is not there" \
			"put them back as $settings, or begin with the defaults; in both cases: sudo rm $installed, then run this again"
	fi
	from=$(origin)
	if [[ -e $settings && $from == "$settings" ]]; then
		return 0
	elif [[ -z $from ]]; then
		fail "$installed is a file of its own" "move what you need of it to $settings, remove it, and run this again"
	elif [[ ! -e $settings ]]; then
		(umask 077 && installed_settings >"$settings.new")
		mv "$settings.new" "$settings"
		result "taken from $installed, which came from $from"
		step settings
	elif ! cmp -s <(settings_for_relay | tail -n +4) <(installed_settings); then
		fail "$settings differs from what the relay runs with, which came from $from" \
			"sudo diff $installed $settings; to keep what runs: mv $settings $settings.mine; to use this one: sudo rm $installed; then run this again"
	fi
}

write_settings() {
	local names
	step settings
	[[ -n $dry_run ]] || find_settings
	if [[ ! -e $settings ]]; then
		if [[ -n $dry_run ]]; then
			result "would write $settings"
			return
		fi
		(umask 077 && sed "s/^RELAY_PORT=.*/RELAY_PORT=${port:-9784}/" "$repo/.env.example" >"$settings.new")
		mv "$settings.new" "$settings"
		result "wrote $settings"
		return
	fi
	lacking "$settings" >"$work/lacking"
	[[ -z $port ]] || sed -i "s/^RELAY_PORT=.*/RELAY_PORT=$port/" "$work/lacking"
	names=$(sed -n 's/^\([A-Z_]*\)=.*/\1/p' "$work/lacking" | paste -sd ' ')
	if [[ -n $dry_run ]]; then
		result "${names:+would add $names to }$settings${names:- is complete}"
		return
	fi
	if [[ $(stat -c %a "$settings") != 600 ]]; then
		chmod 600 "$settings"
	fi
	if [[ -z $names ]]; then
		result "unchanged: $settings is complete"
		return
	fi
	# A last line without an end must not run into ours.
	[[ -z $(tail -c 1 "$settings") ]] || echo >>"$settings"
	cat "$work/lacking" >>"$settings"
	result "added to $settings: $names"
}

# A text that nobody can guess.
random() { od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n'; }

# Has $settings give the value $2 to $1.
change_setting() {
	VALUE=$2 awk -v name="$1" 'index($0, name "=") == 1 { $0 = name "=" ENVIRON["VALUE"] } { print }' "$settings" >"$work/changed"
	cmp -s "$work/changed" "$settings" || cat "$work/changed" >"$settings"
}

# Installs NATS's server for the relays alone, unless its configuration is already somebody's own.
install_nats_server() {
	local password
	if ! PATH=$PATH:/usr/sbin have nats-server && ! as_root apt-get install -q -y nats-server >"$log" 2>&1; then
		show "$log"
		fail 'apt-get cannot install nats-server' 'sudo apt-get update; then run this again'
	fi
	! as_root grep -q '^# Written by deploy-oneclick.local.sh' "$nats_conf" 2>/dev/null || return 0
	if as_root grep -qvE '^(#.*|host: 127\.0\.0\.1|port: 4222|)$' "$nats_conf" 2>/dev/null; then
		fail "$nats_conf is a configuration of your own" "leave out --nats-server; give the relays a user there, in $cluster_nats as user:password, and --nats its URL"
	fi
	password=$(random)
	printf '%s\n' '# Written by deploy-oneclick.local.sh, which leaves it alone from now on.' \
		'host: "0.0.0.0"' 'port: 4222' 'authorization { users: [' \
		"  { user: relay, password: \"$password\"," \
		'    permissions: { publish: "claude-distill-relay.>", subscribe: "claude-distill-relay.>" } }' \
		'] }' | install_file "$nats_conf" 640
	as_root chgrp nats "$nats_conf"
	printf 'relay:%s\n' "$password" | install_file "$cluster_nats" 600
	as_root systemctl --quiet enable nats-server
	if ! as_root systemctl restart nats-server >"$log" 2>&1; then
		show "$log"
		fail 'NATS does not start' 'sudo journalctl -u nats-server -n 20'
	fi
}

# Makes the relay one of several.
join_cluster() {
	[[ -n $node ]] || return 0
	step cluster
	if [[ -n $dry_run ]]; then
		result "would make this relay $node one of those at $nats"
		return
	fi
	[[ -z $nats_server ]] || install_nats_server
	if ! as_root test -e "$cluster_secret"; then
		[[ -n $nats_server ]] || fail "there is no $cluster_secret" \
			"copy it and cluster-nats beside it from a machine that has them; for the first one: openssl rand -hex 32 | sudo install -D -m 600 /dev/stdin $cluster_secret"
		random | install_file "$cluster_secret" 600
	fi
	change_setting RELAY_CLUSTER_ADDRESS "$node"
	change_setting RELAY_CLUSTER_NATS "$nats"
	change_setting RELAY_CLUSTER_SECRET "$credentials/${cluster_secret##*/}"
	! as_root test -e "$cluster_nats" || change_setting RELAY_CLUSTER_NATS_CREDENTIALS "$credentials/${cluster_nats##*/}"
	result "this relay is $node, one of those at $nats"
}

# What a machine that is one of several has to open, which is for its operator to do.
tell_what_to_open() {
	[[ -n $node && -z $dry_run ]] || return 0
	port=$(setting RELAY_PORT "${port:-9784}")
	printf '%s\n' '' 'To open, to the machines of the other relays and to nobody else:' \
		"  port $port       sudo ufw allow from THEIRS to any port $port proto tcp"
	[[ -z $nats_server ]] || printf '%s\n' '  port 4222       sudo ufw allow from THEIRS to any port 4222 proto tcp'
	[[ ! $(setting RELAY_HOST 127.0.0.1) =~ ^(127\.|::1$|localhost$) ]] ||
		printf '%s\n' "The relay listens on this machine only: RELAY_HOST=0.0.0.0 in $settings, then ${0##*/} --settings."
}

# Has the new program read its settings, before the one that runs is stopped for it. An empty
# environment, as systemd gives it.
check_settings() {
	step check
	if [[ -n $dry_run ]]; then
		result 'would have the program read the settings'
		return
	fi
	(cd "$repo" && env -i "$binary" check --settings) >"$log" 2>&1 || true
	if grep -E '^ *fail +config' "$log" >"$log.end"; then
		show "$log.end"
		fail "$settings has a setting that the relay cannot use; nothing else was changed" 'mend it, then run this again'
	fi
	result 'the relay can use the settings'
}

install_program() {
	step program
	local new=$program.new
	if cmp -s "$binary" "$program"; then
		result "unchanged: $program"
	elif [[ -n $dry_run ]]; then
		result "would install $program"
	else
		# What root has now is looked at once more: the file it came from is somebody else's to change.
		if ! as_root install -D -m 755 /dev/stdin "$new" <"$binary" || ! is_relay "$new"; then
			as_root rm -f "$new"
			fail "$program cannot be written; the one before stays" 'see what install says above (a full disk? df -h /usr/local/bin), then run this again'
		fi
		if [[ -e $program ]]; then
			as_root ln -f "$program" "$program.previous"
			keep_units "$units_before"
		fi
		as_root mv -fT "$new" "$program"
		result "installed $program"
	fi
}

# Copies the units that are installed into the folder $1, in place of what is there.
keep_units() {
	local name
	as_root rm -rf "$1"
	as_root install -d -m 755 "$1"
	for name in "${installed_units[@]}"; do
		[[ ! -e $units/$name ]] || as_root cp -p "$units/$name" "$1"
	done
}

# Installs the file $1 of the checkout as the unit $2.
install_unit() {
	if cmp -s "$repo/$1" "$units/$2"; then
		return
	fi
	changed_units+=("$2")
	# A unit of another relay's that has the same name is what leads back to that one.
	if [[ -z $dry_run && $2 == "$unit" && -e $units/$2 ]] && ! grep -q '^ExecStart=claude-distill-relay' "$units/$2"; then
		install_file "$kept_unit" 644 <"$units/$2"
		changed_units+=("(the one before is $kept_unit)")
	fi
	[[ -n $dry_run ]] || install_file "$units/$2" 644 <"$repo/$1"
}

install_units() {
	local changed_units=()
	step units
	install_unit claude-distill-relay.service "$unit"
	install_unit claude-distill-relay.socket claude-distill-relay.socket
	install_unit deploy/healthcheck.service claude-distill-relay-healthcheck.service
	install_unit deploy/healthcheck@.service claude-distill-relay-healthcheck@.service
	install_unit deploy/healthcheck-alert@.service claude-distill-relay-healthcheck-alert@.service
	install_unit deploy/healthcheck.timer claude-distill-relay-healthcheck.timer
	if ((${#changed_units[@]} == 0)); then
		result "unchanged: $units/$unit"
	elif [[ -n $dry_run ]]; then
		result "would install ${changed_units[*]}"
	else
		as_root systemctl daemon-reload
		result "installed ${changed_units[*]}"
	fi
}

# The settings as the relay shall read them, on standard output: those of .env.relay that are its own. An
# older unit has systemd give it all that stands there, also what its dynamic linker would heed.
settings_for_relay() {
	printf '# Written by deploy-oneclick.local.sh from %s,\n' "$settings"
	printf '# which is the one to edit; then run deploy-oneclick.local.sh --settings.\n\n'
	grep -E '^[[:space:]]*(#.*|(export[[:space:]]+)?(RELAY_[A-Z0-9_]+|RUST_LOG)[[:space:]]*=.*)?$' "$settings" || true
}

# Where the settings in /etc have come from, if a deployment has put them there.
origin() {
	if [[ -L $installed ]]; then
		readlink "$installed"
	else
		as_root sed -n '1s/^# Written by deploy-oneclick.local.sh from \(.*\),$/\1/p' "$installed"
	fi
}

# Those settings, without what was written above them. A link is followed with the rights of whoever
# runs this, who may have made it.
installed_settings() {
	if [[ -L $installed ]]; then cat "$installed"; else as_root cat "$installed"; fi | sed '1{/^# Written by/{N;N;d}}'
}

# What the file $1 has for those that only a restart changes.
of_a_start() {
	local name
	for name in "${needs_restart[@]}"; do
		printf '%s=%s\n' "$name" "$(settings=$1 setting "$name" '')"
	done
}

install_settings() {
	local left_out
	step install
	if [[ -n $dry_run ]]; then
		result "would have the relay read these settings, in $installed"
		return
	fi
	left_out=$(sed -nE 's/^[[:space:]]*(export[[:space:]]+)?([A-Za-z_][A-Za-z0-9_]*)[[:space:]]*=.*/\2/p' "$settings" | grep -vE '^(RELAY_|RUST_LOG$)' | paste -sd ' ') || true
	settings_for_relay >"$work/relay.env"
	# Everybody may read it, as the relay has to; an older one was root's alone.
	if [[ ! -L $installed && $(as_root stat -c %a "$installed" 2>/dev/null) == 644 ]] && as_root cmp -s /dev/stdin "$installed" <"$work/relay.env"; then
		result "unchanged: $installed"
	else
		settings_are=new
		if [[ ! -L $installed ]] && as_root cat "$installed" >"$work/before" 2>"$log" && ! is_newer "$installed" StateChangeTimestamp &&
			[[ $(of_a_start "$work/before") == "$(of_a_start "$work/relay.env")" ]]; then
			settings_are=reloadable
		fi
		install_file "$installed" 644 <"$work/relay.env"
		result "installed $installed${left_out:+, without $left_out, which the relay does not know}"
	fi
}

# Whether the file $1 is newer than that time of the relay's unit.
is_newer() { (($(stat -c %Y "$1") > $(date -d "$(TZ=UTC systemctl show --value -p "$2" "$unit")" +%s))); }

# Why the relay has to be restarted, if it has to.
why_restart() {
	local pid
	systemctl --quiet is-active "$unit" || {
		echo 'it did not run'
		return
	}
	pid=$(systemctl show --value -p MainPID "$unit")
	as_root test "/proc/$pid/exe" -ef "$program" || {
		echo 'its program is new'
		return
	}
	if is_newer "$units/$unit" ExecMainStartTimestamp; then
		echo "$unit is new"
	# Its state changes with a reload, too.
	elif [[ $settings_are == new ]] || { [[ -z $settings_are ]] && is_newer "$installed" StateChangeTimestamp; }; then
		echo "${installed##*/} is new"
	elif [[ -n $node ]] && is_newer "$cluster_secret" ExecMainStartTimestamp; then
		echo "${cluster_secret##*/} is new"
	fi
}

# The way back, for who has one.
or_back() { [[ ! -e $program.previous || -n $rollback ]] || printf ', or go back to the program before: %s --rollback' "$0"; }

# Restarts the relay for the reason $1, if there is one, or has it read its settings again.
restart() {
	local reason=$1 done=''
	step service
	if [[ -n $dry_run ]]; then
		result 'would restart the relay, if any of this is new to it'
		return
	fi
	if [[ -n $reason ]]; then
		as_root systemctl reset-failed "$unit" >"$log" 2>&1 || true
		if ! as_root systemctl restart "$unit" >"$log" 2>&1; then
			as_root journalctl -u "$unit" -n 10 -o cat --no-pager >>"$log" 2>&1 || true
			show "$log"
			fail 'the relay does not start' "mend what its last lines name (settings: $settings) and run this again$(or_back)"
		fi
		done="restarted: $reason"
	elif [[ $settings_are == reloadable ]]; then
		if ! as_root systemctl reload "$unit" >"$log" 2>&1; then
			show "$log"
			fail 'the relay cannot be told to read its settings again' "sudo systemctl restart $unit"
		fi
		done="reloaded: ${installed##*/} is new"
	fi
	as_root systemctl --quiet enable "$unit"
	as_root systemctl --quiet enable --now claude-distill-relay-healthcheck.timer
	result "${done:-not restarted: it runs with all of this already}"
}

# Waits until clients get what they come for.
check_relay() {
	step relay
	if [[ -n $dry_run ]]; then
		result 'would wait until two clients can meet in a room'
		return
	fi
	for _ in {1..10}; do
		# Status 1 is a warning. An older program knows only the settings of the folder it runs in.
		if (cd "$repo" && "$program" check --relay-only) >"$log" 2>&1 || (($? == 1)); then
			result "$(grep -q 'asks for an access key' "$log" && echo 'it asks for an access key' || echo 'two clients met in a room'), on port $(setting RELAY_PORT "${port:-9784}")"
			return
		fi
		sleep 1
	done
	show "$log"
	fail 'two clients cannot meet in a room' "what stands above as next$(or_back)"
}

open_firewall() {
	[[ -n $ufw ]] || return 0
	step ufw
	port=$(setting RELAY_PORT "${port:-9784}")
	if [[ -n $dry_run ]]; then
		result "would open port $port"
	elif ! as_root ufw allow "$port/tcp" >"$log" 2>&1; then
		show "$log"
		fail "ufw does not open port $port" 'sudo ufw status verbose'
	elif grep -q Skipping "$log"; then
		result "unchanged: port $port is open"
	elif [[ $(setting RELAY_HOST 127.0.0.1) =~ ^(127\.|::1$|localhost$) ]]; then
		result "opened port $port, but the relay listens on this machine only: see RELAY_HOST in $settings"
	else
		result "opened port $port"
	fi
}

roll_back() {
	local file
	step program
	[[ -e $program.previous ]] || fail "there is no $program.previous" 'deploy the commit that you want: git checkout COMMIT, then this with --no-pull'
	if [[ -n $dry_run ]]; then
		result "would put $program.previous back"
		return
	fi
	as_root ln -f "$program" "$program.new"
	as_root mv -fT "$program.previous" "$program"
	as_root mv -fT "$program.new" "$program.previous"
	result "put $program.previous back"
	# A deployment of before has kept none: then these are still the ones that it has installed.
	[[ -d $units_before ]] || return 0
	step units
	keep_units "$units_before.new"
	for file in "$units_before"/*; do
		[[ ! -e $file ]] || install_file "$units/${file##*/}" 644 <"$file"
	done
	as_root rm -rf "$units_before"
	as_root mv -T "$units_before.new" "$units_before"
	as_root systemctl daemon-reload
	result 'put back those that belong to it'
}

# Removes what a deployment has installed, and leaves what was there before or is the operator's.
uninstall() {
	local names=(claude-distill-relay-healthcheck.timer claude-distill-relay.socket "$unit") rule
	step settings
	if [[ -e $units/$unit ]] && ! grep -q '^ExecStart=claude-distill-relay' "$units/$unit"; then
		fail "$units/$unit is not ours, and stays as it is" 'remove what installed it in its own way'
	fi
	if [[ ! -e $settings && -f $installed ]]; then
		(umask 077 && installed_settings >"$settings.new")
		mv "$settings.new" "$settings"
	fi
	rule="$(setting RELAY_PORT 9784)/tcp"
	as_root rm -f "$installed" "$cluster_secret" "$cluster_nats"
	as_root rm -rf "$units_before"
	as_root rmdir --ignore-fail-on-non-empty "${installed%/*}" 2>"$log" || true
	result "$settings stays"
	step service
	as_root systemctl disable --now "${names[@]}" >"$log" 2>&1 || true
	# What its operator has decided and its events are nobody's, once there is no relay.
	as_root systemctl clean --what=state --what=logs "$unit" >"$log" 2>&1 || true
	as_root rm -rf "${installed_units[@]/#/$units/}" /run/claude-distill-relay-healthcheck
	as_root systemctl daemon-reload
	as_root systemctl reset-failed 'claude-distill-relay*' >"$log" 2>&1 || true
	result 'stopped, and its units removed'
	[[ ! -e $units/$unit.d ]] || result "          your drop-ins stay: $units/$unit.d"
	! as_root grep -qs '^# Written by deploy-oneclick.local.sh' "$nats_conf" || result "          nats-server stays: sudo apt-get purge nats-server"
	[[ ! -e $kept_unit ]] || result "          the unit before ours stays: $kept_unit"
	step program
	as_root rm -f "$program" "$program.previous"
	result "removed $program"
	if PATH=$PATH:/usr/sbin have ufw && as_root ufw show added 2>"$log" | grep -q "allow $rule"; then
		step ufw
		as_root ufw delete allow "$rule" >"$log" 2>&1
		result "closed port ${rule%/*}"
	fi
	"$here/setup-nginx-relay.sh" --remove || {
		told=yes
		exit 1
	}
}

clean_up() {
	local status=$?
	rm -rf "$work"
	tell_end "$status"
}

main() {
	arguments=("$@")
	parse "$@"
	work=$(mktemp -d) log=$work/log
	trap clean_up EXIT
	trap 'told=yes; exit 130' HUP INT TERM

	check_machine
	if [[ -n $uninstall ]]; then
		uninstall
		return
	fi
	if [[ -n $rollback ]]; then
		roll_back
		restart 'its program is the one before'
		check_relay
		return
	fi
	pull_source
	build
	write_settings
	join_cluster
	warn_of_old_limit
	warn_of_plain_keys
	check_settings
	install_program
	install_units
	install_settings
	restart "$([[ -n $dry_run ]] || why_restart)"
	check_relay
	open_firewall
	if [[ -n $nginx ]]; then
		"$here/setup-nginx-relay.sh" "$host" "$(setting RELAY_PORT "${port:-9784}")" ${rename:+--rename} ${dry_run:+--dry-run} || {
			# It has said why.
			told=yes
			exit 1
		}
	fi
	tell_what_to_open
	[[ -n $dry_run || -z $host ]] || printf '%s\n' '' \
		"The relay runs. Once the tunnel leads $host to http://localhost:80, see what its clients see:" \
		"  claude-distill-relay check wss://$host"
}

main "$@"
